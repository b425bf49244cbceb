package plaingit_test

import (
	"testing"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/handlers/forge/forgetest"
	"github.com/registry-build/registry-build/handlers/forge/plaingit"
)

func TestContract(t *testing.T) {
	s := start(t)
	w := newWork(t)
	remote := s.remote("writer", "acme/hello")
	w.commit("a", "1")
	w.git("push", remote, "main")
	s.store.awaitEvents(t, 1)
	forgetest.Run(t, forgetest.Subject{
		Instance:   plaingit.Instance,
		Origin:     s.Forge,
		Repository: acmeHello,
		Life: func(t *testing.T) []builder.Event {
			w.git("push", remote, "main:dev")
			w.commit("a", "2")
			w.git("push", remote, "main:dev")
			w.git("tag", "-a", "-m", "one", "v1")
			w.git("push", remote, "v1")
			w.git("push", remote, ":v1")
			w.git("push", remote, ":dev")
			events := s.store.awaitEvents(t, 6)[1:]
			for i := range events {
				events[i].Seq = 0 // the store's
			}
			return events
		},
	})
}
