package main

import "runtime/debug"

// version is set at link time (-X main.version=...); a plain go build leaves it
// to the module's own information.
var version = ""

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "dev"
}
