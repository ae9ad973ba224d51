# Two images from one file, from the root of the repository:
#
#   docker build --tag component .                        the component behind entrypoint
#   docker build --target entrypoint --tag entrypoint .   the binary alone, for COPY --from=entrypoint
#
# Works on BuildKit and on the classic builder. What the classic one leaves of
# the stages in between goes with
# docker image prune --filter label=org.codeontap.entrypoint.stage

FROM golang:1.26-trixie AS build
LABEL org.codeontap.entrypoint.stage=build
WORKDIR /build
COPY go.mod go.sum ./
RUN go mod download
COPY *.go ./
COPY internal internal
COPY modes modes
COPY supervisor supervisor
COPY devops/build.sh devops/build.sh
# Compiled before the version is known: another version alone is only linked.
RUN sh devops/build.sh /out/entrypoint
ARG VERSION=dev
RUN VERSION=$VERSION sh devops/build.sh /out/entrypoint


FROM scratch AS entrypoint
COPY --from=build /out/entrypoint /usr/local/bin/entrypoint
ENTRYPOINT ["/usr/local/bin/entrypoint"]


# What the component is to an engine, and what it runs on: Debian's packages,
# which Debian keeps secure.
FROM debian:trixie-slim AS python
# APP_INIT_TASKS: SQLite alone is migrated at the start, so that one container
# serves with nothing prepared; a database on a server is left to a TASK.
ENV APP_INIT_TASKS="migrate_embedded --verbosity 0" \
    PATH=/app/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    VIRTUAL_ENV=/app/venv
WORKDIR /app/src
EXPOSE 8000
# A patient timeout: it is Docker's own start of the check that takes time on a
# busy machine, and to be replaced is the last thing that helps there.
HEALTHCHECK --interval=5s --timeout=10s --start-period=60s --retries=3 CMD ["entrypoint", "health"]
ENTRYPOINT ["entrypoint"]
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
        ca-certificates \
        celery \
        gunicorn \
        libjs-jquery \
        python3 \
        python3-boto3 \
        python3-celery \
        python3-django \
        python3-django-redis \
        python3-dotenv \
        python3-psycopg \
        python3-redis \
        python3-sentry-sdk \
        tzdata \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /app --shell /bin/bash app


# What Debian has not: pip asks an index only for what is not satisfied yet. A
# package without a wheel brings its compiler into this stage, and it stays
# here.
FROM python AS venv
LABEL org.codeontap.entrypoint.stage=venv
# kombu wants PyPI's tzdata, which only carries what Debian's tzdata carries for
# the whole system (2026b there is 2026.2 here): the name is all that it lacks.
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && /usr/bin/python3 -m venv --system-site-packages /app/venv \
 && version=$(dpkg-query -W -f '${Version}' tzdata | sed 's/-.*//; y/abcdefghi/123456789/; s/^..../&./') \
 && info=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tzdata-$version.dist-info \
 && mkdir "$info" \
 && printf 'Metadata-Version: 2.1\nName: tzdata\nVersion: %s\n' "$version" >"$info/METADATA"
COPY src/requirements.txt /app/
RUN pip install --no-cache-dir --disable-pip-version-check -r /app/requirements.txt


FROM python AS component
COPY --from=build /out/entrypoint /usr/local/bin/entrypoint
COPY --from=venv /app/venv /app/venv
COPY src /app/src
# Compiled here, because the user below may not write. The code stays root's:
# what runs cannot change it, and a read-only root file system changes nothing.
RUN DJANGO_DEBUG=True python3 manage.py collectstatic --noinput \
 && python3 -m compileall -q . \
 && rm -rf var
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001

# Last, because they change with every build.
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="entrypoint reference component" \
      org.opencontainers.image.description="A Django and celery component run by entrypoint in the modes WEB, TASK, WORKER and BEAT" \
      org.opencontainers.image.source="https://github.com/codeontap/entrypoint" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
