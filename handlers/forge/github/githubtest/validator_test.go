package githubtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/handlers/forge/github/githubtest"
)

// TestValidator sees what is wrong on either side.
func TestValidator(t *testing.T) {
	const status = `{"url":"u","avatar_url":null,"id":1,"node_id":"n","state":"success","description":null,"target_url":null,"context":"c","created_at":"t","updated_at":"t","creator":null}`
	for _, test := range []struct {
		name, method, path, body, answer string
		status                           int
		failed                           bool
		want                             string // part of the only violation; empty: none
	}{
		{"good", "POST", "/repos/a/b/statuses/c", `{"state":"success"}`, status, 201, false, ""},
		{"missing in the request", "POST", "/repos/a/b/statuses/c", `{}`, status, 201, false, `request: request body has an error: doesn't match schema: Error at "/state": property "state" is missing`},
		{"wrong in the request", "POST", "/repos/a/b/statuses/c", `{"state":"queued"}`, status, 201, false, `Error at "/state": value is not one of the allowed values`},
		{"missing in the response", "POST", "/repos/a/b/statuses/c", `{"state":"success"}`, strings.Replace(status, `"id":1,`, "", 1), 201, false, `response 201: response body doesn't match schema #/components/schemas/status: Error at "/id": property "id" is missing`},
		{"wrong in the response", "POST", "/repos/a/b/statuses/c", `{"state":"success"}`, strings.Replace(status, `"id":1`, `"id":"1"`, 1), 201, false, `Error at "/id": value must be an integer`},
		{"failed on demand", "POST", "/repos/a/b/statuses/c", `{"state":"success"}`, `<html>`, 502, true, ""},
		{"no such operation", "GET", "/repos/a/b/builds", "", `{}`, 200, false, "no such operation"},
		{"slashes in a ref", "GET", "/repos/a/b/commits/feature/x/status", "", `{}`, 200, false, "combined-commit-status"},
		{"excepted", "GET", "/repos/a/b/contents/", "", `[]`, 200, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := must(githubtest.NewValidator())(t)
			v.Check(&githubtest.Exchange{
				Method: test.method, URL: &url.URL{Path: test.path}, RequestHeader: http.Header{"Content-Type": {"application/json"}},
				RequestBody: []byte(test.body), Status: test.status, Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
				Body: []byte(test.answer), Failed: test.failed,
			})
			got := strings.Join(v.Take(), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if v.Violations() != nil {
				t.Error("Take left something")
			}
		})
	}
}

func TestPayloads(t *testing.T) {
	for _, test := range []struct{ name, event, body, want string }{
		{"nothing in it", "push", `{}`, "webhook push: "},
		{"no JSON", "push", `[`, "unexpected end"},
		{"unknown action", "issue_comment", `{"action":"shouted"}`, "issue-comment-shouted"},
		{"unknown event", "pushed", `{}`, "webhook pushed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := must(githubtest.NewValidator())(t)
			v.CheckPayload(test.event, []byte(test.body))
			if got := strings.Join(v.Take(), "\n"); !strings.Contains(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	// GitHub's own examples of what the double sends are right, but for what
	// exceptions.go tells of and for fields that came after they were written.
	for i, e := range githubtest.Examples(t, "create", "delete", "merge_group", "commit_comment") {
		v := must(githubtest.NewValidator())(t)
		v.CheckPayload(e.Event, e.Body)
		for _, violation := range v.Take() {
			t.Errorf("%s: %s", e.Name(i), violation)
		}
	}
}
