package githubtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Emulator is the emulator of GitHub that somebody else wrote (npm package
// emulate), behind the validator. It has no commit statuses, no list of an
// installation's repositories, no git and no deliveries API. Its answers leave
// out fields that GitHub's description requires, so only requests to it are
// held against that; a violation fails the test.
type Emulator struct {
	API           string // through the validator
	Direct        string // past it, for preparing
	AppID         int64
	Installation  int64
	PrivateKeyPEM string
	UserToken     string // of EmulatedUser, who may do everything
	Validator     *Validator
}

// What the emulator begins with: an organisation with one repository, and a
// person who is its administrator.
const (
	EmulatedUser   = "alice"
	EmulatedOrg    = "acme"
	EmulatedRepo   = "shop"
	EmulatedSecret = "emulated secret"
)

// NewEmulator starts it for one test. Webhooks go to hookURL, signed with
// EmulatedSecret; none if it is empty.
func NewEmulator(t testing.TB, hookURL string) *Emulator {
	t.Helper()
	if _, err := module("emulate/dist/api.js"); err != nil {
		t.Fatal(err)
	}
	validator, err := NewValidator()
	if err != nil {
		t.Fatal(err)
	}
	validator.RequestsOnly = true
	e := &Emulator{AppID: 12345, Installation: 100, UserToken: "emulated-token", Validator: validator}
	app := object{
		"app_id": e.AppID, "slug": "registry-build", "name": "registry-build", "permissions": DefaultPermissions(), "events": DefaultEvents(),
		"installations": []any{object{"installation_id": e.Installation, "account": EmulatedOrg, "repository_selection": "all"}},
	}
	if hookURL != "" {
		app["webhook_url"], app["webhook_secret"] = hookURL, EmulatedSecret
	}
	seed, err := json.Marshal(object{"seed": object{
		"tokens": object{e.UserToken: object{"login": EmulatedUser, "scopes": []string{"repo", "admin:org"}}},
		"github": object{
			"users": []any{object{"login": EmulatedUser}}, "apps": []any{app},
			"orgs":  []any{object{"login": EmulatedOrg, "members": []any{object{"login": EmulatedUser, "role": "admin"}}}},
			"repos": []any{object{"owner": EmulatedOrg, "name": EmulatedRepo, "auto_init": true}},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.Command("node", filepath.Join(filepath.Dir(here), "testdata", "emulator.mjs"), string(seed))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := e.start(t, cmd); err != nil {
		t.Fatalf("start the emulator: %v (is node there? run `make test-deps`)\n%s", err, stderr.String())
	}
	target, err := url.Parse(e.Direct)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(validator.Proxy(target))
	t.Cleanup(proxy.Close)
	e.API = proxy.URL + "/api/v3"
	t.Cleanup(func() {
		for _, v := range validator.Violations() {
			t.Errorf("GitHub's description: %s", v)
		}
	})
	return e
}

// start runs it until the test ends, and reads where it listens.
func (e *Emulator) start(t testing.TB, cmd *exec.Cmd) error {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("emulator: %v", err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read its address: %w", err)
	}
	var said struct{ URL, Key string }
	if err := json.Unmarshal(line, &said); err != nil {
		return err
	}
	e.Direct, e.PrivateKeyPEM = said.URL, said.Key
	return nil
}
