package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/codeontap/entrypoint/internal/contract"
	"github.com/codeontap/entrypoint/internal/env"
	"github.com/codeontap/entrypoint/internal/kms"
)

// cannotStart begins each line of what keeps the application from starting.
const cannotStart = "cannot start: "

// acceptable is the last look at an environment before copies get it, at the
// start and at each restart: the contract, and what execve(2) can carry.
func (s *prepared) acceptable(words []string) error {
	if err := s.checkContract(words); err != nil {
		return err
	}
	if err := s.environment.Fit(); err != nil {
		return &exitError{codeConfiguration, err}
	}
	return nil
}

// checkContract holds a mode's run to the contract where a manage.py stands; a
// command is warned.
func (s *prepared) checkContract(words []string) error {
	django := exists(filepath.Join(s.dir, "manage.py"))
	encrypted := kms.Encrypted(s.environment)
	s.sayOff(encrypted)
	var found []string
	for _, problem := range contract.Check(s.environment, contract.Facts{
		Django:     django && len(words) == 0,
		Ciphertext: func(name string) bool { return slices.Contains(encrypted, name) },
	}) {
		if problem.Warning || !django || len(words) > 0 {
			s.log.Warn(sentence(problem))
			continue
		}
		found = append(found, cannotStart+sentence(problem))
	}
	if s.how.policy == kms.Exit {
		for _, name := range encrypted {
			if inUse(s.environment, name) {
				found = append(found, cannotStart+name+" is still a ciphertext, and ENTRYPOINT_DECRYPT_FAILURE is exit")
			}
		}
	}
	if len(found) > 0 {
		return &exitError{codeConfiguration, errors.New(strings.Join(found, "\n"))}
	}
	return nil
}

// inUse reports whether the variable belongs to a set that the application is to
// use.
func inUse(e env.Environment, name string) bool {
	for _, set := range contract.Sets() {
		for _, v := range set.Variables {
			if v.Name == name {
				return set.InUse(e)
			}
		}
	}
	return false
}
