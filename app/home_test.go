package app

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

func TestDomainsShareNoTrustedDaemon(t *testing.T) {
	l := newLanes(t, config.DefaultServer(), 0)
	acme := l.acquire(t, builder.TrustedLane, "acme")
	began := time.Now()
	other := l.acquire(t, builder.TrustedLane, "other")
	t.Logf("another domain's daemon took %s", time.Since(began))
	if acme.Shared || other.Shared {
		t.Error("a daemon of ours is said to be shared")
	}
	// The same step, so the same cache key: with one daemon, the other would
	// be given what the first made of its secret.
	const step = scratch + "RUN --mount=type=cache,id=x,target=/c busybox ls /c; busybox touch /c/left; echo made by this daemon\n"
	for name, s := range map[string]builder.Solver{"acme": acme.Solver, "other": other.Solver} {
		log, err := solve(t, s, builder.TrustedLane, step)
		if err != nil || strings.Contains(log, "left\n") || !strings.Contains(strings.ReplaceAll(log, "echo made", ""), "made by this daemon") {
			t.Errorf("%s: %v\n%s", name, err, log)
		}
	}
	if again := l.acquire(t, builder.TrustedLane, "Acme"); again.Solver != acme.Solver {
		t.Error("a domain has two daemons")
	}
	if fork := l.acquire(t, builder.ForkLane, "other"); fork.Solver == other.Solver {
		t.Error("the lanes share a daemon")
	}
	if n := strings.Count(l.log.String(), "builder started"); n != 2 {
		t.Errorf("%d starts; want one for the other domain and one for its forks", n)
	}

	// The first daemon is the same domain's after a restart.
	if err := l.closed(); err != nil {
		t.Fatal(err)
	}
	next := l.again()
	defer next.Close()
	for owner, home := range map[string]bool{"other": false, "acme": true} {
		d, err := next.Acquire(t.Context(), builder.Build{Lane: builder.TrustedLane, Repository: builder.Repository{Forge: "github", Owner: owner}})
		if err != nil {
			t.Fatal(err)
		}
		if (d.Solver == builder.Solver(next.home.solver)) != home {
			t.Errorf("after a restart the first daemon is %s's: %t", owner, !home)
		}
		log, err := solve(t, d.Solver, builder.TrustedLane, step)
		if err != nil || !strings.Contains(log, "CACHED") {
			t.Errorf("%s lost its cache: %v\n%s", owner, err, log)
		}
		d.Release()
	}
}

func TestLeastRecentlyUsedDaemonMakesRoom(t *testing.T) {
	l := newLanesOf(t, config.DefaultServer(), daemonOptions{Most: 2})
	l.acquire(t, builder.TrustedLane, "home").Release()
	get := func(owner string) builder.Daemon { return l.acquire(t, builder.TrustedLane, owner) }
	running := func(owner string) bool {
		_, err := os.Stat(l.dir.socket("own" + domainID("github:"+owner)))
		return err == nil
	}
	one, two := get("one"), get("two")
	two.Release()
	one.Release() // used last
	three := get("three")
	if err := poll(10*time.Second, func() bool { return !running("two") }); err != nil || !running("one") || !running("three") {
		t.Errorf("running: one %t, two %t, three %t; want two stopped", running("one"), running("two"), running("three"))
	}
	// Nobody who builds is stopped: then one more runs.
	one = get("one")
	four := get("four")
	for owner, d := range map[string]builder.Daemon{"one": one, "three": three, "four": four} {
		if !running(owner) {
			t.Errorf("%s was stopped while it was used", owner)
		}
		d.Release()
	}
}

func TestOutsideDaemonsAreShared(t *testing.T) {
	for globs, want := range map[string]bool{"": true, "acme": true, "github:acme": false, "github:*": true, "acme*": true, "?cme": true, "acme,other": true, "/acme/": true, "{a,b}": true} {
		var list []string
		if globs != "" {
			list = strings.Split(globs, ",")
		}
		if globs == "{a,b}" {
			list = []string{globs}
		}
		at := config.BuildKit{Address: "tcp://one:1234", Domains: list}
		if got := !alone(at, []config.BuildKit{at, {Address: "tcp://two:1234"}}); got != want {
			t.Errorf("%q: shared %t", globs, got)
		}
		for _, other := range []config.BuildKit{{Domains: []string{"github:other"}}, {Domains: list, Lane: "fork"}, {}} {
			if other.Address = at.Address; alone(at, []config.BuildKit{at, other}) {
				t.Errorf("%q: not shared, and another entry leads to the same builder: %+v", globs, other)
			}
		}
	}
}
