package env_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/codeontap/entrypoint/internal/env"
)

func TestABlockIsReadAsGoReadsIt(t *testing.T) {
	t.Parallel()
	e, dropped := env.Parse([]string{"B=1", "A=x=y=", "B=2", "nonsense", "=C:=x", "", "EMPTY=", "É=\xff"})
	if dropped != 3 {
		t.Errorf("%d entries dropped, want 3", dropped)
	}
	want := []string{"A=x=y=", "B=1", "EMPTY=", "É=\xff"}
	if got := e.Block(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if !e.Has("A") || e.Has("EMPTY") || e.Has("C") {
		t.Error("an empty variable is an unset one")
	}
	if _, there := e.Lookup("EMPTY"); !there {
		t.Error("Lookup sees what is set to nothing")
	}
	if got := e.Get("B").Reveal(); got != "1" {
		t.Errorf("B is %q: the first of two counts", got)
	}
}

func TestTheZeroEnvironmentIsReadyForUse(t *testing.T) {
	t.Parallel()
	var e env.Environment
	if e.Len() != 0 || e.Has("A") || len(e.Block()) != 0 || e.String() != "Environment{}" || e.Fit() != nil {
		t.Errorf("%v is not empty", e)
	}
	if e = e.Set(env.Injected, "A", "a").Without(func(string) bool { return true }); e.Len() != 0 {
		t.Errorf("%v is not empty again", e)
	}
}

func TestNothingChangesAnEnvironment(t *testing.T) {
	t.Parallel()
	block := []string{"A=a", "B=b", "C=c", "ENTRYPOINT_GRACE=1s"}
	e, _ := env.Parse(block)
	before := e.Block()

	block[0] = "A=changed"
	e.Variables()[0] = env.Variable{Name: "A", Value: env.NewSecret("changed")}
	e.Names()[0] = "Z"
	e.Block()[0] = "A=changed"
	e.With(env.Variable{Name: "B", Value: env.NewSecret("changed")})
	e.Set(env.Injected, "D", "d")
	e.Merge(env.Variable{Name: "E", Value: env.NewSecret("e")})
	e.Without(func(name string) bool { return name == "A" })
	e.WithoutOwn()
	// Two that grow from one root must not share what lies behind it.
	left, right := e.Set(env.Injected, "X", "left"), e.Set(env.Injected, "X", "right")

	if diff := cmp.Diff(before, e.Block()); diff != "" {
		t.Error(diff)
	}
	if left.Get("X").Reveal() != "left" || right.Get("X").Reveal() != "right" {
		t.Error("two environments share memory")
	}
}

func TestTheLastOneSetWins(t *testing.T) {
	t.Parallel()
	e, _ := env.Parse([]string{"A=old", "B=b"})
	v := func(name, value string) env.Variable {
		return env.Variable{Name: name, Value: env.NewSecret(value), Source: env.FromMode}
	}
	e = e.With(v("A", "first"), v("C", "c"), v("A", "last"))
	if got, want := e.Block(), []string{"A=last", "B=b", "C=c"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if a, _ := e.Lookup("A"); a.Source != env.FromMode {
		t.Errorf("A comes from %v", a.Source)
	}
	e = e.Merge(v("A", "under"), v("D", "1"), v("D", "2"))
	if got, want := e.Block(), []string{"A=last", "B=b", "C=c", "D=2"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTheApplicationSeesNothingOfOurs(t *testing.T) {
	t.Parallel()
	e, _ := env.Parse([]string{"ENTRYPOINT_GRACE=1s", "ENTRYPOINT_=x", "ENTRYPOINT=mine", "APP_RUN_MODE=WEB", "KMS_PREFIX=x", "XENTRYPOINT_A=a"})
	if got, want := e.WithoutOwn().Names(), []string{"APP_RUN_MODE", "ENTRYPOINT", "KMS_PREFIX", "XENTRYPOINT_A"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAnEnvironmentPrintsItsNames(t *testing.T) {
	t.Parallel()
	e, _ := env.Parse([]string{"B=" + canary, "A=" + canary})
	for _, got := range []string{e.String(), fmt.Sprintf("%v", e), fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e)} {
		if got != "Environment{A B}" {
			t.Errorf("printed as %s", got)
		}
	}
}

func TestSourcesHaveTheNamesThatPlanPrints(t *testing.T) {
	t.Parallel()
	for source, want := range map[env.Source]string{
		env.FromEnvironment: "environment", env.FromDotenv: "dotenv", env.FromFile: "file", env.FromMode: "mode", env.Injected: "injected",
		env.Source(99): "source 99",
	} {
		if got := source.String(); got != want {
			t.Errorf("%d is %q, want %q", int(source), got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"A=a\nB=b", "A", "=A", "A=\nA=b", "\n\n", "A==", "\xff=\xfe"} {
		f.Add(s, "A")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		block := strings.Split(text, "\n")
		e, dropped := env.Parse(block)
		if !slices.IsSorted(e.Names()) || len(slices.Compact(e.Names())) != e.Len() || e.Len()+dropped > len(block) {
			t.Errorf("%q: not sorted, not unique or too many: %v, %d dropped", text, e, dropped)
		}
		// What Go itself would look up.
		want, there := "", false
		for _, entry := range block {
			if n, v, ok := strings.Cut(entry, "="); ok && n == name && n != "" && !there {
				want, there = v, true
			}
		}
		if v, ok := e.Lookup(name); ok != there || v.Value.Reveal() != want {
			t.Errorf("%q: %s is %q, want %q", text, name, v.Value.Reveal(), want)
		}
		again, dropped := env.Parse(e.Block())
		if !slices.Equal(again.Block(), e.Block()) || dropped != 0 {
			t.Errorf("%q does not survive a second reading", text)
		}
	})
}
