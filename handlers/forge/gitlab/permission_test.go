package gitlab

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/registry-build/registry-build/builder"
)

func TestPermission(t *testing.T) {
	const member = `{"id":12,"username":"ann","state":"active","access_level":%d,"expires_at":%s}`
	today := time.Now().UTC().Format(`"` + time.DateOnly + `"`)
	tomorrow := time.Now().UTC().AddDate(0, 0, 1).Format(`"` + time.DateOnly + `"`)
	for _, test := range []struct {
		name       string
		member     string // "": none
		user       string // "": an active one
		visibility string
		want       builder.Permission
	}{
		{"owner", fmt.Sprintf(member, 50, "null"), "", "private", builder.PermissionAdmin},
		{"maintainer", fmt.Sprintf(member, 40, "null"), "", "private", builder.PermissionAdmin},
		{"developer", fmt.Sprintf(member, 30, "null"), "", "private", builder.PermissionWrite},
		{"developer until tomorrow", fmt.Sprintf(member, 30, tomorrow), "", "private", builder.PermissionWrite},
		{"developer until today", fmt.Sprintf(member, 30, today), "", "private", builder.PermissionNone},
		{"developer until today, open to all", fmt.Sprintf(member, 30, today), "", "public", builder.PermissionRead},
		{"reporter", fmt.Sprintf(member, 20, "null"), "", "private", builder.PermissionRead},
		{"planner", fmt.Sprintf(member, 15, "null"), "", "private", builder.PermissionRead},
		{"guest", fmt.Sprintf(member, 10, "null"), "", "private", builder.PermissionRead},
		{"minimal access", fmt.Sprintf(member, 5, "null"), "", "private", builder.PermissionNone},
		{"nobody", "", "", "private", builder.PermissionNone},
		{"nobody, open to all", "", "", "public", builder.PermissionRead},
		{"nobody, open to all who sign in", "", "", "internal", builder.PermissionRead},
		{"a blocked developer", fmt.Sprintf(member, 30, "null"), `[{"id":12,"username":"ann","state":"blocked"}]`, "public", builder.PermissionNone},
		{"a member who is blocked", strings.Replace(fmt.Sprintf(member, 30, "null"), "active", "blocked", 1), "", "public", builder.PermissionNone},
		{"a membership that nobody has let in", strings.Replace(fmt.Sprintf(member, 30, "null"), "{", `{"membership_state":"awaiting",`, 1), "", "public", builder.PermissionNone},
		{"not called so", fmt.Sprintf(member, 30, "null"), `[{"id":12,"username":"annabel","state":"active"}]`, "public", builder.PermissionNone},
		{"called so by nobody", fmt.Sprintf(member, 30, "null"), `[]`, "public", builder.PermissionNone},
		{"called so in other letters", fmt.Sprintf(member, 30, "null"), `[{"id":12,"username":"Ann","state":"active"}]`, "private", builder.PermissionWrite},
	} {
		t.Run(test.name, func(t *testing.T) {
			says := map[string]string{
				"projects/7":         strings.Replace(sevens, "private", test.visibility, 1),
				"users?username=ann": `[{"id":12,"username":"ann","state":"active"}]`,
			}
			if test.member != "" {
				says["projects/7/members/all/12"] = test.member
			}
			if test.user != "" {
				says["users?username=ann"] = test.user
			}
			f, a := served(t, says)
			got, err := f.Permission(t.Context(), shop(), "ann")
			if err != nil || got != test.want {
				t.Errorf("%d, %v; want %d", got, err, test.want)
			}
			if n := a.count("projects/7/members/all/12"); n > 1 {
				t.Errorf("asked for the member %d times: that there is none is an answer", n)
			}
		})
	}

	f, a := served(t, map[string]string{"users?username=ann": `500 {"message":"500"}`})
	for _, person := range []string{"", "ann bee", "../ann", "ann/x", "-ann", strings.Repeat("a", 256)} {
		if got, err := f.Permission(t.Context(), shop(), person); err != nil || got != builder.PermissionNone {
			t.Errorf("%q: %d, %v; want none", person, got, err)
		}
	}
	if len(a.asked) > 0 {
		t.Errorf("asked for %v", a.asked)
	}
	if _, err := f.Permission(t.Context(), shop(), "ann"); err == nil {
		t.Error("a server that fails has answered")
	}
}

func TestProtected(t *testing.T) {
	f, a := served(t, map[string]string{
		"projects/7/repository/branches/main":          `{"name":"main","protected":true}`,
		"projects/7/repository/branches/open":          `{"name":"open","protected":true,"developers_can_push":true}`,
		"projects/7/repository/branches/topic":         `{"name":"topic","protected":false}`,
		"projects/7/repository/branches/rel%2F1%2E2":   `{"name":"rel/1.2","protected":true}`,
		"projects/7/repository/branches/a%20b%3Fc%23d": `{"name":"a b?c#d","protected":true}`,
		"projects/7/repository/branches/other":         `{"name":"main","protected":true}`,
		"projects/7/repository/branches/closed":        `403 {"message":"403 Forbidden"}`,
	})
	for ref, want := range map[string]bool{
		"refs/heads/main": true, "refs/heads/open": false, "refs/heads/topic": false, "refs/heads/rel/1.2": true, "refs/heads/a b?c#d": true,
		"refs/heads/other": false, "refs/heads/closed": false, "refs/heads/": false, "refs/tags/v1": false, "main": false, "refs/heads/gone": false,
	} {
		if got, err := f.Protected(once(t.Context()), shop(), ref); err != nil || got != want {
			t.Errorf("%s: %t, %v; want %t", ref, got, err, want)
		}
	}
	a.set("projects/7/repository/branches/main", `500 {}`)
	if _, err := f.Protected(t.Context(), shop(), "refs/heads/main"); err == nil {
		t.Error("a server that fails has answered")
	}
}
