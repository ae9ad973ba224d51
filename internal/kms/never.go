package kms

import "strings"

// never reports whether a variable is no candidate in any mode: what the
// platform, the loader or the interpreter reads before or beside the
// application, what KMS is asked with, and our own settings.
func never(name string) bool {
	switch name {
	case "_HANDLER", "PATH", "HOME", "HOSTNAME", "PWD", "LANG", "TZ",
		"APP_RUN_MODE", "APP_BIND", "APP_TASK_LIST", "APP_INIT_TASKS", "APP_DEBUG":
		return true
	}
	for _, prefix := range [...]string{
		"AWS_", "ECS_", "LAMBDA_", "KUBERNETES_", "LC_", "PYTHON", "LD_",
		"ENTRYPOINT_", "KMS_", "APP_WORKER_",
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
