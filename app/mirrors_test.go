package app

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder/source"
)

func TestMirrorsThatNobodyUsesGo(t *testing.T) {
	dir := t.TempDir()
	long := time.Now().Add(-mirrorsKept - time.Hour)
	for name, used := range map[string]time.Time{"old.git": long, "new.git": time.Now()} {
		stamp := filepath.Join(dir, name, "registry-build")
		if err := os.MkdirAll(filepath.Dir(stamp), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(stamp, []byte("github:1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(stamp, used, used); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- mirrors{source.New(source.Options{Dir: dir}), slog.New(slog.DiscardHandler)}.Run(ctx)
	}()
	err := poll(10*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(dir, "old.git"))
		return os.IsNotExist(err)
	})
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Error("the mirror that nobody used for a month is there")
	}
	if _, err := os.Stat(filepath.Join(dir, "new.git")); err != nil {
		t.Error(err)
	}
}
