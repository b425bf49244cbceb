package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

const (
	annUser  = `{"id":12,"username":"ann","name":"Ann Bee","bot":false,"state":"active"}`
	narrowed = `403 {"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token.","scope":"api read_user"}`
)

func tokenOf(expires string, scopes ...string) string {
	if expires != "null" {
		expires = `"` + expires + `"`
	}
	return fmt.Sprintf(`{"id":4,"name":"builds","revoked":false,"active":true,"scopes":["%s"],"user_id":12,"expires_at":%s}`, strings.Join(scopes, `","`), expires)
}

func TestCheck(t *testing.T) {
	in := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly) }
	day := func(text string) time.Time {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	probe := "projects/0/statuses/" + anyCommit
	ann := Account{ID: 12, Username: "ann", Name: "Ann Bee", Version: "18.5.0-ee"}
	for _, test := range []struct {
		name    string
		says    map[string]string
		want    Account
		refused []string // parts of the sentence
	}{
		{"a token of a person", map[string]string{"user": annUser, "personal_access_tokens/self": tokenOf("null", "api")},
			Account{Scopes: []string{"api"}}, nil},
		{"that ends in a year", map[string]string{"user": annUser, "personal_access_tokens/self": tokenOf(in(365), "read_user", "api")},
			Account{Scopes: []string{"read_user", "api"}, ExpiresAt: day(in(365))}, nil},
		{"that ends soon", map[string]string{"user": annUser, "personal_access_tokens/self": tokenOf(in(9), "api")},
			Account{Scopes: []string{"api"}, ExpiresAt: day(in(9)), Warning: "the token of URL expires on " + in(9) + "; make a new one before, and put it into the server file"}, nil},
		{"of a project", map[string]string{"user": strings.Replace(annUser, `"bot":false`, `"bot":true`, 1), "personal_access_tokens/self": tokenOf("null", "api")},
			Account{Scopes: []string{"api"}, Bot: true}, nil},
		{"an older server", map[string]string{"user": annUser, "personal_access_tokens/self": `404 {"error":"404 Not Found"}`},
			Account{}, nil},
		{"an older server that says what is missing", map[string]string{"user": annUser, "personal_access_tokens/self": `400 {"error":"id is invalid"}`, probe: `400 {"error":"state is missing"}`},
			Account{}, nil},
		{"an older server, scopes too narrow", map[string]string{"user": annUser, "personal_access_tokens/self": `404 {"error":"404 Not Found"}`, probe: narrowed},
			Account{}, []string{"the token of URL has less than that; it needs api", "make a token with the scope api: URL/-/user_settings/personal_access_tokens"}},
		{"scopes too narrow", map[string]string{"user": annUser, "personal_access_tokens/self": tokenOf("null", "read_api", "read_repository")},
			Account{}, []string{"the token of URL has read_api, read_repository; it needs api"}},
		{"scopes so narrow that nobody is known", map[string]string{"user": narrowed, "personal_access_tokens/self": tokenOf("null", "read_repository")},
			Account{}, []string{"the token of URL has read_repository; it needs api"}},
		{"scopes so narrow that nothing is known", map[string]string{"user": narrowed, "personal_access_tokens/self": narrowed},
			Account{}, []string{"the token of URL has less than that; it needs api"}},
		{"a token that is not known", map[string]string{"user": `401 {"message":"401 Unauthorized"}`},
			Account{}, []string{"the token of URL is not known there, has expired or is revoked", "make a new one"}},
		{"a token that was revoked", map[string]string{"user": `401 {"error":"invalid_token","error_description":"Token was revoked. You have to re-authorize from the user."}`},
			Account{}, []string{"the token of URL is revoked"}},
		{"a token that has expired", map[string]string{"user": `401 {"error":"invalid_token","error_description":"Token is expired. You can either do re-authorization or token refresh."}`},
			Account{}, []string{"the token of URL has expired"}},
		{"a token that expires in this moment", map[string]string{"user": annUser, "personal_access_tokens/self": tokenOf(in(0), "api")},
			Account{}, []string{"the token of URL expired on " + in(0)}},
		{"a token that is being revoked", map[string]string{"user": annUser, "personal_access_tokens/self": strings.Replace(tokenOf("null", "api"), `"revoked":false`, `"revoked":true`, 1)},
			Account{}, []string{"the token of URL is revoked"}},
		{"a user who is blocked", map[string]string{"user": `403 {"message":"403 Forbidden - Your account has been blocked."}`},
			Account{}, []string{"does not let the token's user in", "Your account has been blocked"}},
		{"something else", map[string]string{},
			Account{}, []string{"URL does not answer like a GitLab server", "https://HOST/gitlab"}},
		{"a page", map[string]string{"user": "<!DOCTYPE html><html>"},
			Account{}, []string{"URL does not answer like a GitLab server"}},
		{"a page that is not found", map[string]string{"user": "404 <!DOCTYPE html><html>"},
			Account{}, []string{"URL does not answer like a GitLab server"}},
		{"another API", map[string]string{"user": `{"login":"ann"}`},
			Account{}, []string{"URL does not answer like a GitLab server"}},
		{"a list", map[string]string{"user": `[]`},
			Account{}, []string{"URL does not answer like a GitLab server"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.says["version"] = `{"version":"18.5.0-ee","revision":"abc"}`
			f, a := served(t, test.says)
			got, err := f.Check(t.Context())
			if test.refused != nil {
				var unusable *Unusable
				if !errors.As(err, &unusable) || unusable.Message == "" || unusable.Mend == "" {
					t.Fatalf("%v; want an *Unusable", err)
				}
				for _, part := range test.refused {
					if part = strings.ReplaceAll(part, "URL", f.Config.URL); !strings.Contains(err.Error(), part) {
						t.Errorf("%q; want %q in it", err, part)
					}
				}
				return
			}
			want := test.want
			want.ID, want.Username, want.Name, want.Version = ann.ID, ann.Username, ann.Name, ann.Version
			want.Warning = strings.ReplaceAll(want.Warning, "URL", f.Config.URL)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if n := a.count(probe); n > 1 || n == 1 && got.Scopes != nil {
				t.Errorf("tried to write %d times", n)
			}
		})
	}
}

func TestCheckOfTheSamples(t *testing.T) {
	f, _ := served(t, map[string]string{
		"user": sample(t, "get_user_bot.json"), "personal_access_tokens/self": sample(t, "list_personal_access_tokens_single.json"),
	})
	got, err := f.Check(t.Context())
	want := Account{ID: 2, Username: "project_1_bot_3cca1d029554e372cf8f39df76bf507d", Name: "John Bot", Bot: true, Scopes: []string{"api"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// A server that is away is no reason to refuse to start.
func TestCheckOfAServerThatIsAway(t *testing.T) {
	var unusable *Unusable
	var later builder.Later
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"restarted": func(*http.Request) (*http.Response, error) {
			return says(502, "<!DOCTYPE html><title>GitLab is not responding")
		},
		"in deployment": func(*http.Request) (*http.Response, error) { return says(503, "<html>") },
		"behind a door": func(*http.Request) (*http.Response, error) { return says(403, "<html>who are you?") },
		"silent": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"gone":    func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") },
		"limited": func(*http.Request) (*http.Response, error) { return says(429, "Retry later", "Retry-After: 60") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, err := New(Options{Config: config.GitLab{Name: "gitlab", URL: "https://gitlab.example.com", Token: "glpat-secret"}, HTTP: tripper(answer)})
				if err != nil {
					t.Fatal(err)
				}
				_, err = f.Check(t.Context())
				if err == nil || errors.As(err, &unusable) || errors.As(err, &later) != (name == "limited") || !strings.Contains(err.Error(), "GitLab gitlab") {
					t.Errorf("got %v", err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if _, err := f.Check(ctx); !errors.Is(err, context.Canceled) && name != "limited" {
					t.Errorf("after its context: %v", err)
				}
			})
		})
	}
}

func TestCheckOfAnotherProtocol(t *testing.T) {
	var unusable *Unusable
	s := httptest.NewServer(&answers{})
	defer s.Close()
	_, err := connected(t, config.GitLab{URL: strings.Replace(s.URL, "http:", "https:", 1)}).Check(t.Context())
	if !errors.As(err, &unusable) || !strings.Contains(err.Error(), "does not speak https") {
		t.Errorf("https of a server that has none: %v", err)
	}
	moved := httptest.NewServer(http.RedirectHandler("https://gitlab.example.com/api/v4/user", http.StatusMovedPermanently))
	defer moved.Close()
	_, err = connected(t, config.GitLab{URL: moved.URL}).Check(t.Context())
	if !errors.As(err, &unusable) || !strings.Contains(err.Error(), "if GitLab is at https://gitlab.example.com now, write that") {
		t.Errorf("a server that sends us on: %v", err)
	}
}
