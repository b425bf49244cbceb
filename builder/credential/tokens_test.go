package credential

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registry-build/registry-build/config"
)

var every = []string{"*"}

func newTokens(t *testing.T, static ...config.Token) *Tokens {
	t.Helper()
	tokens, err := NewTokens(static)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestStaticTokenMay(t *testing.T) {
	all := []string{"git:read", "git:write", "registry:pull", "registry:push", "api"}
	tests := map[string]struct {
		repositories, scopes []string
		scope                Scope
		repository           string
		want                 bool
	}{
		"everything":                 {every, all, RegistryPush, "acme/hello", true},
		"everywhere, one scope":      {every, []string{"git:read"}, GitRead, "acme/hello", true},
		"a scope it lacks":           {every, []string{"git:read"}, GitWrite, "acme/hello", false},
		"its repository":             {[]string{"acme/hello"}, all, GitWrite, "acme/hello", true},
		"another repository":         {[]string{"acme/hello"}, all, GitWrite, "acme/hello2", false},
		"a longer owner":             {[]string{"acme/*"}, all, GitWrite, "acme2/hello", false},
		"owner's":                    {[]string{"acme/*"}, all, API, "acme/hello", true},
		"image below its repository": {[]string{"acme/hello"}, all, RegistryPush, "acme/hello/api", true},
		"git below its repository":   {[]string{"acme/hello"}, all, GitWrite, "acme/hello/api", false},
		"image of a longer name":     {[]string{"acme/hello"}, all, RegistryPush, "acme/hello-api", false},
		"images are lower-case":      {[]string{"Acme/Hello"}, all, RegistryPush, "acme/hello", true},
		"git names keep their case":  {[]string{"Acme/Hello"}, all, GitRead, "acme/hello", false},
		"expression":                 {[]string{`/acme/\S+/`}, all, RegistryPush, "acme/hello", true},
		"below an expression":        {[]string{"/acme/h[a-z]*/"}, all, RegistryPush, "acme/hello/api", true},
		"expression, other":          {[]string{"/acme/h[a-z]*/"}, all, RegistryPush, "other/hello", false},
		"name without an owner":      {[]string{"base"}, all, RegistryPush, "base", true},
		"owner alone":                {[]string{"acme"}, all, RegistryPush, "acme/hello", false},
		"catalog, everything":        {every, all, RegistryPull, "*", true},
		"catalog, owner":             {[]string{"acme/*"}, all, RegistryPull, "*", false},
		"anywhere":                   {[]string{"acme/*"}, all, API, "", true},
		"nowhere":                    {[]string{"acme/*"}, []string{"git:read"}, API, "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			token, hash := GenerateToken()
			id, err := newTokens(t, config.Token{Name: "ci", Hash: hash, Repositories: tt.repositories, Scopes: tt.scopes}).Check(token)
			if err != nil {
				t.Fatal(err)
			}
			if got := id.May(tt.scope, tt.repository); got != tt.want {
				t.Errorf("May(%s, %q) = %t", tt.scope, tt.repository, got)
			}
		})
	}
}

func TestNewTokensRefuses(t *testing.T) {
	_, hash := GenerateToken()
	tests := map[string]struct {
		static []config.Token
		want   string
	}{
		"no hash":      {[]config.Token{{Name: "ci", Repositories: every, Scopes: []string{"api"}}}, "token ci: the hash must be"},
		"plain token":  {[]config.Token{{Name: "ci", Hash: "rb_abc", Repositories: every, Scopes: []string{"api"}}}, "the hash must be"},
		"short hash":   {[]config.Token{{Name: "ci", Hash: hash[:60], Repositories: every, Scopes: []string{"api"}}}, "the hash must be"},
		"long hash":    {[]config.Token{{Name: "ci", Hash: hash + "00", Repositories: every, Scopes: []string{"api"}}}, "the hash must be"},
		"empty token":  {[]config.Token{{Name: "ci", Hash: HashToken(""), Repositories: every, Scopes: []string{"api"}}}, "empty token"},
		"no scope":     {[]config.Token{{Name: "ci", Hash: hash, Repositories: every}}, "has no scopes"},
		"scope":        {[]config.Token{{Name: "ci", Hash: hash, Repositories: every, Scopes: []string{"admin"}}}, `scope "admin" is unknown; write some of git:read,`},
		"same hash":    {[]config.Token{{Name: "a", Hash: hash, Repositories: every, Scopes: []string{"api"}}, {Name: "b", Hash: hash, Scopes: []string{"api"}}}, "is that of token a"},
		"nowhere":      {[]config.Token{{Name: "ci", Hash: hash, Scopes: []string{"api"}}}, "is for no repositories"},
		"expression":   {[]config.Token{{Name: "ci", Hash: hash, Scopes: []string{"api"}, Repositories: []string{"/(/"}}}, "repositories: "},
		"empty string": {[]config.Token{{Name: "ci", Hash: hash, Scopes: []string{"api"}, Repositories: []string{""}}}, "repositories: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := NewTokens(tt.static); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want …%s…", err, tt.want)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	token, hash := GenerateToken()
	tokens := newTokens(t, config.Token{Name: "ci", Hash: hash, Repositories: every, Scopes: []string{"api"}})
	for _, s := range []string{"", token + "x", token[:len(token)-1], hash, strings.ToUpper(token)} {
		if id, err := tokens.Check(s); err != ErrToken || id.May(API, "") {
			t.Errorf("Check(%q) = %v, %v", s, id, err)
		}
	}
	if err := tokens.SetStatic([]config.Token{{Name: "bad"}}); err == nil {
		t.Error("a bad reload is taken")
	}
	if _, err := tokens.Check(token); err != nil {
		t.Error("a bad reload dropped the old tokens")
	}
	if err := tokens.SetStatic(nil); err != nil {
		t.Error(err)
	}
	if _, err := tokens.Check(token); err != ErrToken {
		t.Error("a token that left the server file still works")
	}
}

func TestMint(t *testing.T) {
	tests := map[string]struct {
		scope      Scope
		repository string
		want       bool
	}{
		"push its image":         {RegistryPush, "acme/hello", true},
		"pull its image":         {RegistryPull, "acme/hello", true},
		"pull the owner's":       {RegistryPull, "acme/base", true},
		"push the owner's":       {RegistryPush, "acme/base", false},
		"push below":             {RegistryPush, "acme/hello/api", false},
		"pull library":           {RegistryPull, "library/debian", true},
		"push library":           {RegistryPush, "library/debian", false},
		"pull of a stranger":     {RegistryPull, "other/hello", false},
		"pull of a longer owner": {RegistryPull, "acme2/hello", false},
		"git":                    {GitRead, "acme/hello", false},
		"api":                    {API, "", false},
	}
	tokens := newTokens(t)
	token, revoke := tokens.Mint("build 1", BuildGrants("acme/hello"), time.Hour)
	id, err := tokens.Check(token)
	if err != nil || id.Name != "build 1" {
		t.Fatal(id, err)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := id.May(tt.scope, tt.repository); got != tt.want {
				t.Errorf("May(%s, %q) = %t", tt.scope, tt.repository, got)
			}
		})
	}
	for _, bad := range []string{"*", "acme/*", "", "/.*/", "acme/hello:x", "Acme/hello"} {
		if g := BuildGrants(bad); g != nil {
			t.Errorf("BuildGrants(%q) = %v", bad, g)
		}
	}
	revoke()
	revoke()
	if _, err := tokens.Check(token); err != ErrToken {
		t.Error("a revoked token still works")
	}
}

func TestMintedTokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newTokens(t)
		token, _ := tokens.Mint("build 1", BuildGrants("acme/hello"), time.Minute)
		time.Sleep(time.Minute - time.Nanosecond) // synctest's clock
		if _, err := tokens.Check(token); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := tokens.Check(token); err != ErrToken {
			t.Error("the token works after its time")
		}
		_, revoke := tokens.Mint("build 2", nil, time.Minute)
		if n := len(tokens.minted); n != 1 {
			t.Errorf("%d minted tokens are kept, want 1", n)
		}
		revoke()
	})
}

func TestTokensConcurrently(t *testing.T) {
	tokens := newTokens(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				token, revoke := tokens.Mint("build", BuildGrants("acme/hello"), time.Hour)
				if _, err := tokens.Check(token); err != nil {
					t.Error(err)
				}
				_ = tokens.SetStatic(nil)
				revoke()
			}
		})
	}
	wg.Wait()
}

func TestFromRequest(t *testing.T) {
	tests := map[string]struct{ header, want string }{
		"basic":       {"Basic Z2l0OnJiX3g=", "rb_x"}, // git:rb_x
		"bearer":      {"Bearer rb_x", "rb_x"},
		"lower-case":  {"bearer rb_x", "rb_x"},
		"none":        {"", ""},
		"bare":        {"rb_x", ""},
		"other":       {"Digest rb_x", ""},
		"basic trash": {"Basic !!!", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{Header: http.Header{"Authorization": {tt.header}}}
			if got := FromRequest(r); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLoadOrCreateToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "token")
	token, created, err := LoadOrCreateToken(path)
	if err != nil || !created || !strings.HasPrefix(token, "rb_") || len(token) != 46 {
		t.Fatalf("first: %q, %t, %v", token, created, err)
	}
	if again, created, err := LoadOrCreateToken(path); again != token || created || err != nil {
		t.Errorf("second: %q, %t, %v", again, created, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if got, _, err := LoadOrCreateToken(path); got != "" || err == nil || !strings.Contains(err.Error(), "run chmod 600") {
		t.Errorf("mode 0640: %q, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("  \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(path, 0o600)
	if _, _, err := LoadOrCreateToken(path); err == nil || !strings.Contains(err.Error(), "holds no access token") {
		t.Errorf("empty file: %v", err)
	}
}

func TestFirstTokenIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		seen = map[string]int{}
		made int
	)
	for range 10 {
		wg.Go(func() {
			token, created, err := LoadOrCreateToken(path)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			seen[token]++
			if created {
				made++
			}
		})
	}
	wg.Wait()
	if len(seen) != 1 || made != 1 {
		t.Errorf("%d tokens, made %d times; want one, once", len(seen), made)
	}
}
