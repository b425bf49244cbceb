package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/registry-build/registry-build/config"
)

// shell is a child that runs a script and is ready once it has made the file
// `ready`.
func shell(t *testing.T, script string) *child {
	dir := t.TempDir()
	return &child{
		name: "test-server", path: "/bin/sh", args: []string{"-c", "cd " + dir + "; " + script},
		dir: dir, log: filepath.Join(dir, "log"), slog: slog.New(slog.DiscardHandler),
		ready: func(context.Context) error { _, err := os.Stat(filepath.Join(dir, "ready")); return err },
	}
}

func TestChildThatDoesNotStart(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(c *child)
		want []string
	}{
		{"it ends with a message", func(*child) {}, []string{"test-server did not start", "exit status 3", "bad configuration"}},
		{"the program is not there", func(c *child) { c.path = "/none" }, []string{"test-server did not start", "/none"}},
		{"its network cannot be had", func(c *child) {
			c.enter = func() ([]string, func(), error) { return nil, nil, errors.New("no network") }
		}, []string{"test-server did not start", "no network"}},
		{"its log cannot be written", func(c *child) { c.log = "/none/log" }, []string{"test-server did not start", "/none/log"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := shell(t, "echo bad configuration; exit 3")
			test.set(c)
			err := c.Run(t.Context(), func() { t.Error("started") })
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v; want %q in it", err, want)
				}
			}
		})
	}
}

// A child that dies is started again, after what it left is cleared away, and
// its last words are kept.
func TestChildIsStartedAgain(t *testing.T) {
	c := shell(t, `echo "start $$"; echo $$ > pid; touch ready; exec sleep 1000`)
	before := make(chan struct{}, 10)
	c.before = func(context.Context) error {
		before <- struct{}{}
		os.Remove(filepath.Join(c.dir, "ready"))
		return errors.New("is told, and stops nothing")
	}
	ctx, stop := context.WithCancel(t.Context())
	started, ended := make(chan struct{}, 2), make(chan error, 1)
	go func() { ended <- c.Run(ctx, func() { started <- struct{}{} }) }()
	<-started
	<-before
	pid := func() string {
		data, _ := os.ReadFile(filepath.Join(c.dir, "pid"))
		return strings.TrimSpace(string(data))
	}
	first := pid()
	kill(t, first)
	<-before
	if err := poll(10*time.Second, func() bool { return pid() != first }); err != nil {
		t.Fatal("it was not started again")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(started) > 0 {
		t.Error("started was told twice")
	}
	if old, err := os.ReadFile(c.log + oldLog); err != nil || !strings.Contains(string(old), "start "+first) {
		t.Errorf("the log of the first is %q, %v", old, err)
	}
}

func kill(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err == nil {
		err = syscall.Kill(n, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What enter does is for the child, and is undone when the child is gone.
func TestChildStartsWhereItIsTold(t *testing.T) {
	c := shell(t, `echo "$WHERE" > where; touch ready; exec sleep 1000`)
	left := make(chan struct{}, 1)
	c.enter = func() ([]string, func(), error) {
		return []string{"WHERE=inside"}, func() { left <- struct{}{} }, nil
	}
	ctx, stop := context.WithCancel(t.Context())
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- c.Run(ctx, func() { close(started) }) }()
	<-started
	if data, err := os.ReadFile(filepath.Join(c.dir, "where")); err != nil || string(data) != "inside\n" {
		t.Errorf("%q, %v", data, err)
	}
	if len(left) > 0 {
		t.Error("left while it runs")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	<-left
}

// All that is missing is told at once, with what installs it.
func TestMissingPartsAreToldTogether(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: run `sudo make test`")
	}
	t.Setenv("PATH", t.TempDir())
	dir, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, err = embedded(config.DefaultServer(), dir, &places{}, slog.New(slog.DiscardHandler))
	for _, want := range []string{"apt-get install git", "apt-get install redis-server", "make tools", "apt-get install runc"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want %q in it", err, want)
		}
	}
}
