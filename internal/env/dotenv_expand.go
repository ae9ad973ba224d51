package env

import "strings"

// expand replaces ${NAME} and ${NAME:-default}, and never $NAME: passwords
// contain $. There is no nesting and no escape; the name runs to the first }
// or :, the default to the first }. A variable that is set to "" is that, not
// the default. This is python-dotenv's variables.py.
//
// ok is false when the result would be longer than limit: fifty lines that each
// double the one before are a petabyte.
func expand(value string, lookup func(name string) (string, bool), limit int) (expanded string, ok bool) {
	var out strings.Builder
	stop := -1 // of the name at hand: kept, so that "${${${" is read once
	for {
		start := strings.Index(value, "${")
		if start < 0 {
			break
		}
		if stop < start+2 {
			n := strings.IndexAny(value[start+2:], "}:")
			if n < 0 {
				break
			}
			stop = start + 2 + n
		}
		name, instead, end := value[start+2:stop], "", stop+1
		if value[stop] == ':' {
			if !strings.HasPrefix(value[stop:], ":-") { // no variable, but a later ${ may be one
				out.WriteString(value[:start+2])
				value, stop = value[start+2:], stop-start-2
				continue
			}
			n := strings.IndexByte(value[stop:], '}')
			if n < 0 {
				break
			}
			instead, end = value[stop+2:stop+n], stop+n+1
		}
		out.WriteString(value[:start])
		if v, ok := lookup(name); ok {
			out.WriteString(v)
		} else {
			out.WriteString(instead)
		}
		if out.Len() > limit {
			return "", false
		}
		value, stop = value[end:], -1
	}
	if out.Len()+len(value) > limit {
		return "", false
	}
	out.WriteString(value)
	return out.String(), true
}
