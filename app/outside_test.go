package app

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	registry "github.com/distribution/distribution/v3/registry/handlers"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sirupsen/logrus"

	// The storage driver of registries that stories have.
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
)

// cmdRegistry starts a registry of somebody else's: distribution as it is, open
// to everybody, which tells `up` of pushes with the token, and tells again what
// was not taken: registry TOKEN. It sets OUTSIDE to its host; after `env
// HOST=$OUTSIDE` push, digest and image speak to it.
func cmdRegistry(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: registry TOKEN")
	}
	logrus.SetOutput(io.Discard) // where distribution writes every 404
	ctx, stop := context.WithCancel(context.Background())
	c := &configuration.Configuration{
		Storage: configuration.Storage{"inmemory": {}, "maintenance": {"uploadpurging": map[any]any{"enabled": false}}},
		Notifications: configuration.Notifications{Endpoints: []configuration.Endpoint{{
			Name: "registry-build", URL: "http://127.0.0.1:" + storyOf(ts).read(ts, "port") + "/hooks/registry",
			Headers: http.Header{"Authorization": {"Bearer " + args[0]}}, Timeout: 5 * time.Second, Threshold: 2, Backoff: 100 * time.Millisecond,
		}}},
	}
	c.HTTP.Secret = "of a registry that lives as long as its story"
	c.Log.AccessLog.Disabled = true
	app := registry.NewApp(ctx, c)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	server := &http.Server{Handler: app}
	go server.Serve(l)
	ts.Defer(func() {
		err := errors.Join(server.Close(), app.Shutdown())
		stop()
		ts.Check(err)
	})
	ts.Setenv("OUTSIDE", l.Addr().String())
}
