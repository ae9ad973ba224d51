// Package modes decides what runs: Look reads what is there, Plan turns
// settings, environment and that into command.Specs, or into problems, all of
// them at once. Plan is a pure function; nothing here starts a process, asks a
// network or reads our own environment.
package modes
