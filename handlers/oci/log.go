package oci

import (
	"context"
	"io"
	"log/slog"
	"reflect"

	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/sirupsen/logrus"
)

// Distribution takes its logger from the context, under a key of an internal
// package, and else logs to logrus' global one. Nobody outside can set that
// key, and changing the global logger would change it for BuildKit's client
// too; so our context answers to the key by the name of its type. If a new
// version renames it, a test fails and distribution logs as it always did.
const loggerKey = "dcontext.loggerKey"

type logContext struct {
	context.Context
	entry *logrus.Entry
}

func (c logContext) Value(key any) any {
	if t := reflect.TypeOf(key); t != nil && t.String() == loggerKey {
		return c.entry
	}
	return c.Context.Value(key)
}

// newEntry returns a logger for distribution that writes to log.
func newEntry(log *slog.Logger) *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.SetLevel(logrus.ErrorLevel)
	if log.Enabled(context.Background(), slog.LevelDebug) {
		l.SetLevel(logrus.DebugLevel)
	}
	l.AddHook(forward{log})
	return logrus.NewEntry(l)
}

// forward is a hook of logrus that writes to slog.
type forward struct{ log *slog.Logger }

func (f forward) Levels() []logrus.Level { return logrus.AllLevels }

// Fire keeps the fields that say what was asked and what went wrong. Headers
// are not among them, so no credentials are.
func (f forward) Fire(e *logrus.Entry) error {
	level := slog.LevelDebug
	if e.Level <= logrus.ErrorLevel && ours(e) {
		level = slog.LevelError
	}
	var attrs []slog.Attr
	for _, field := range []struct{ theirs, ours string }{
		{"http.request.method", "method"},
		{"http.response.status", "status"},
		{"vars.name", "repository"},
		{"vars.reference", "reference"},
		{"vars.digest", "digest"},
		{"err.message", "err"},
		{"err.detail", "detail"},
	} {
		if v, ok := e.Data[field.theirs]; ok {
			attrs = append(attrs, slog.Any(field.ours, v))
		}
	}
	f.log.LogAttrs(context.Background(), level, "registry: "+e.Message, attrs...)
	return nil
}

// ours tells a failure of the registry from a client's mistake: distribution
// logs both as errors, also every 404 of a push that looks for what is there.
func ours(e *logrus.Entry) bool {
	code, ok := e.Data["err.code"].(errcode.ErrorCode)
	return !ok || code.Descriptor().HTTPStatusCode >= 500
}
