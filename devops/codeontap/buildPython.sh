#!/bin/sh
# The build job of the code repository: makes the image, tests the component in
# it, checks that it keeps the environment contract, and tags it for every unit
# of deployment_units.json. Called in the repository's root:
#
#   devops/codeontap/buildPython.sh             build, test, check, tag, push
#   devops/codeontap/buildPython.sh --dry-run   print these commands, run none
#
# A Jenkins job sets:
#   PRODUCT            the product's id; first part of the image's name
#   GIT_COMMIT         what is built; else git is asked
#   DOCKER_REGISTRY    where to push; without it nothing is pushed
#   ENVIRONMENT_FILE   environment to check the contract with; else the sample
#   DEPLOYMENT_UNITS   other units than the file's, with white space between
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
units_file=$here/deployment_units.json

fail() {
	echo "buildPython.sh: $*" >&2
	exit 1
}

step() { # what, command...
	echo "== $1"
	shift
	printf '+'
	printf ' %s' "$@"
	echo
	[ -n "$dry" ] || "$@"
}

# json KEY: the strings of a list in deployment_units.json, one a line.
json() {
	python3 - "$units_file" "$1" <<-'END'
		import json
		import sys
		try:
		    with open(sys.argv[1], encoding='utf-8') as file:
		        values = json.load(file)[sys.argv[2]]
		    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
		        raise ValueError('not a list of strings')
		except (OSError, ValueError, KeyError) as error:
		    sys.exit(f'buildPython.sh: cannot read {sys.argv[2]} in {sys.argv[1]}: {error!r}')
		print('\n'.join(values))
	END
}

dry=
case ${1-} in
'') ;;
--dry-run) dry=yes ;;
*) fail "cannot use $1: wanted --dry-run or nothing" ;;
esac
if ! [ -f Dockerfile ] || ! [ -f src/manage.py ]; then fail "cannot find Dockerfile and src/manage.py: call it in the repository's root"; fi
[ -n "${PRODUCT-}" ] || fail 'PRODUCT is missing: set it to the product id'
commit=${GIT_COMMIT:-$(git rev-parse HEAD 2>/dev/null)} || fail 'GIT_COMMIT is missing, and git does not know it'
units=${DEPLOYMENT_UNITS:-$(json Units)}
formats=$(json Formats)
[ -n "$units" ] || fail "cannot find a unit: Units in $units_file is empty"
environment=${ENVIRONMENT_FILE:-devops/docker/app.env.sample}
[ -f "$environment" ] || fail "cannot read ENVIRONMENT_FILE: there is no file $environment"

for format in $formats; do
	case $format in
	docker) ;;
	*) fail "cannot make the format $format of $units_file: there is docker" ;;
	esac
done

# As the engine's templates name it: REGISTRY/PRODUCT/UNIT-COMMIT.
name() { echo "${DOCKER_REGISTRY:+$DOCKER_REGISTRY/}$PRODUCT/$1-$commit"; }

built=
for unit in $units; do
	if [ -z "$built" ]; then
		built=$(name "$unit")
		step 'image' docker build --build-arg "VERSION=$commit" --build-arg "REVISION=$commit" --tag "$built" .
		step 'tests' docker run --rm -e DJANGO_DEBUG=True "$built" python3 manage.py test
		step 'contract' docker run --rm --env-file "$environment" "$built" check --offline
	else
		step 'tag' docker tag "$built" "$(name "$unit")"
	fi
done
if [ -n "${DOCKER_REGISTRY-}" ]; then
	for unit in $units; do step 'push' docker push "$(name "$unit")"; done
fi
