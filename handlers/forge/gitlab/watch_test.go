package gitlab

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

// lists is a server of lists, which it gives page by page.
type lists struct {
	t     *testing.T
	items map[string][]any // by path below /api/v4
	bare  bool             // no X-Next-Page, only Link
	asked []string         // path?query
}

func (l *lists) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/v4/")
	l.asked = append(l.asked, path+"?"+r.URL.RawQuery)
	items, ok := l.items[path]
	if !ok {
		http.Error(w, `{"message":"404 Not Found"}`, http.StatusNotFound)
		return
	}
	page, size := 1, 20
	if n, err := strconv.Atoi(r.URL.Query().Get("page")); err == nil {
		page = n
	}
	if n, err := strconv.Atoi(r.URL.Query().Get("per_page")); err == nil {
		size = min(n, 100)
	}
	from, to := min((page-1)*size, len(items)), min(page*size, len(items))
	next := ""
	if to < len(items) {
		next = strconv.Itoa(page + 1)
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?page=%s>; rel="next", <http://%s%s?page=1>; rel="first"`, r.Host, r.URL.Path, next, r.Host, r.URL.Path))
	}
	if !l.bare {
		w.Header().Set("X-Next-Page", next)
		w.Header().Set("X-Page", strconv.Itoa(page))
	}
	if err := json.NewEncoder(w).Encode(append([]any{}, items[from:to]...)); err != nil {
		l.t.Error(err)
	}
}

type object = map[string]any

func listed(t *testing.T, bots []string, items map[string][]any) (*Forge, *lists) {
	t.Helper()
	l := &lists{t: t, items: items}
	s := httptest.NewServer(l)
	t.Cleanup(s.Close)
	return connected(t, config.GitLab{URL: s.URL, Bots: bots}), l
}

func openMR(iid int) any {
	return object{"iid": iid, "state": "opened", "sha": fmt.Sprintf("%040d", iid), "source_branch": "topic", "target_branch": "main",
		"source_project_id": 7, "target_project_id": 7, "author": object{"username": "ann"}}
}

func TestOpenPulls(t *testing.T) {
	for _, bare := range []bool{false, true} {
		var all []any
		for iid := 1; iid <= 230; iid++ {
			all = append(all, openMR(iid))
		}
		all[41].(object)["sha"] = nil // not read yet
		for _, i := range []int{7, 8, 9} {
			all[i].(object)["source_project_id"] = 8
		}
		all[10].(object)["source_project_id"] = nil
		all = append(all[:100:100], append([]any{all[99]}, all[100:]...)...) // moved to the next page meanwhile
		f, l := listed(t, nil, map[string][]any{"projects/7/merge_requests": all})
		l.bare = bare
		f.names.put(8, projectName{path: "people/eve/shop", at: f.Now()})
		got, err := f.OpenPulls(t.Context(), shop())
		if err != nil || len(got) != 229 {
			t.Fatalf("%d, %v; want 229 without the one that is not read yet", len(got), err)
		}
		want := builder.Pull{Number: 1, Author: "ann", HeadBranch: "topic", Head: fmt.Sprintf("%040d", 1), BaseBranch: "main", HeadOwner: "acme/platform", Open: true}
		if diff := cmp.Diff(want, got[0]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for i, owner := range map[int]string{7: "people/eve", 10: "ann"} {
			if got[i].HeadOwner != owner || !got[i].Fork {
				t.Errorf("!%d: %+v; want a fork of %s", got[i].Number, got[i], owner)
			}
		}
		if len(l.asked) != 4 { // three pages, the fork
			t.Logf("asked %v", l.asked)
		}
		if !strings.Contains(l.asked[0], "state=opened") || !strings.Contains(l.asked[0], "per_page=100") {
			t.Errorf("asked %s", l.asked[0])
		}
	}
	f, _ := listed(t, nil, nil)
	if _, err := f.OpenPulls(once(t.Context()), shop()); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("of a project that is gone: %v; want ErrNotFound", err)
	}
}

func TestOpenPullsWithoutEnd(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, err := strconv.Atoi(r.URL.Query().Get("page"))
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Next-Page", strconv.Itoa(page+1))
		json.NewEncoder(w).Encode([]any{openMR(page)})
	}))
	defer s.Close()
	f := connected(t, config.GitLab{URL: s.URL})
	if got, err := f.OpenPulls(t.Context(), shop()); err != nil || len(got) != pagesMost {
		t.Errorf("%d, %v; want %d", len(got), err, pagesMost)
	}
}

// A list that goes by keyset says by a link where it goes on.
func TestKeyset(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		after, _ := strconv.Atoi(r.URL.Query().Get("id_after"))
		if after < 6 {
			w.Header().Set("Link", fmt.Sprintf(`<https://elsewhere.example.com/api/v4/projects?id_after=%d&pagination=keyset&per_page=2>; rel="next"`, after+2))
		}
		json.NewEncoder(w).Encode([]any{object{"id": after + 1}, object{"id": after + 2}})
	}))
	defer s.Close()
	f := connected(t, config.GitLab{URL: s.URL})
	query := &struct {
		Pagination string `url:"pagination"`
		paged
	}{Pagination: "keyset"}
	var got []int
	err := pages(t.Context(), f, "projects", query, func(p project) (bool, error) {
		got = append(got, p.ID)
		return true, nil
	})
	if diff := cmp.Diff([]int{1, 2, 3, 4, 5, 6, 7, 8}, got); diff != "" || err != nil {
		t.Errorf("%v, asked %v (-want +got):\n%s", err, asked, diff)
	}
}

func TestComments(t *testing.T) {
	since := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	at := func(id int, seconds int, body string, more ...any) any {
		n := object{"id": id, "body": body, "created_at": since.Add(time.Duration(seconds) * time.Second), "author": object{"username": "ann"}}
		n["updated_at"] = n["created_at"]
		for i := 0; i+1 < len(more); i += 2 {
			n[more[i].(string)] = more[i+1]
		}
		return n
	}
	by := func(name string) object { return object{"username": name} }
	onCommit := func(id, seconds int, body, title string) any {
		n := at(id, seconds, body, "noteable_type", "Commit")
		return object{"created_at": since.Add(time.Duration(seconds) * time.Second), "target_title": title, "note": n}
	}
	commit := strings.Repeat("c", 40)
	f, l := listed(t, []string{"project_9_bot_x"}, map[string][]any{
		"projects/7/merge_requests": {openMR(3), openMR(4), openMR(5)},
		"projects/7/merge_requests/3/notes": { // newest first
			at(119, 60, "/build api"),
			at(118, 59, "looks good"),
			at(117, 58, "/status", "system", true),
			at(116, 57, "/status", "author", by("project_7_bot_abc")),
			at(115, 56, "/status", "author", by("project_9_bot_x")),
			at(114, 55, "/ok-to-build me", "updated_at", since.Add(30*time.Minute)),
			at(113, 54, "/status", "internal", true),
			at(112, 53, "/status", "confidential", true),
			at(111, 0, "> quoted\n\n/why"),
			at(99, -1, "/build old"),
			at(98, 5, "/build that is behind an old one"),
		},
		"projects/7/merge_requests/4/notes": {at(120, 90, "/help")},
		"projects/7/events": {
			object{"created_at": since.Add(80 * time.Second), "note": at(119, 60, "/build api", "noteable_type", "MergeRequest")},
			onCommit(130, 70, "/promote v1", "Add a thing"),
			onCommit(131, 69, "nice", "Add a thing"),
			onCommit(132, 68, "/build", "Of long ago"),
			object{"created_at": since.Add(67 * time.Second), "note": nil},
			onCommit(90, -60, "/build", "Add a thing"),
		},
		"projects/7/repository/commits": {
			object{"id": strings.Repeat("d", 40), "title": "Add a thing"}, object{"id": commit, "title": "Add a thing"}, object{"id": strings.Repeat("e", 40), "title": "Other"},
		},
		"projects/7/repository/commits/" + strings.Repeat("d", 40) + "/discussions": {},
		"projects/7/repository/commits/" + commit + "/discussions": {
			object{"notes": []any{object{"id": 1}}}, object{"notes": []any{object{"id": 129}, object{"id": 130}}},
		},
	})
	got, err := f.Comments(once(t.Context()), shop(), since)
	if err != nil {
		t.Fatal(err)
	}
	var want []builder.Event
	for _, w := range []struct {
		id, pull            int
		body, commit, actor string
	}{
		{111, 3, "> quoted\n\n/why", "", "ann"},
		{115, 3, "/status", "", "project_9_bot_x"},
		{119, 3, "/build api", "", "ann"},
		{120, 4, "/help", "", "ann"},
		{130, 0, "/promote v1", commit, "ann"},
	} {
		want = append(want, builder.Event{
			ID: fmt.Sprintf("gitlab:note-%s-%d", shop().ID, w.id), Kind: builder.Commanded, Repository: shop(), Commit: w.commit, Actor: w.actor,
			Command: &builder.Command{Source: builder.FromComment, Pull: w.pull, Comment: strconv.Itoa(w.id), Body: w.body},
		})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, path := range l.asked {
		if strings.HasPrefix(path, "projects/7/merge_requests?") && !strings.Contains(path, "updated_after="+url.QueryEscape(since.Add(-clockSlip).Format(time.RFC3339))) {
			t.Errorf("asked %s", path)
		}
		if strings.HasPrefix(path, "projects/7/events?") && !strings.Contains(path, "after="+since.AddDate(0, 0, -2).Format(time.DateOnly)) {
			t.Errorf("asked %s", path)
		}
	}
}

// A comment is carried out once, whether its delivery or a look for it tells.
func TestCommentsHaveTheDeliverysID(t *testing.T) {
	since := time.Now().Add(-time.Hour)
	f, _ := listed(t, nil, map[string][]any{
		"projects/7/merge_requests":         {openMR(3)},
		"projects/7/merge_requests/3/notes": {object{"id": 119, "body": "/help", "created_at": time.Now(), "updated_at": time.Now(), "author": object{"username": "ann"}}},
		"projects/7/events":                 {},
	})
	found, err := f.Comments(t.Context(), shop(), since)
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	body := `{"object_kind":"note","event_type":"note","user":{"username":"ann"},"project":{"id":7,"path_with_namespace":"acme/platform/shop"},
		"object_attributes":{"id":119,"note":"/help","noteable_type":"MergeRequest","action":"create"},
		"merge_request":{"iid":3,"target_project_id":7,"source_project_id":7}}`
	told, err := f.Events(http.Header{"X-Gitlab-Event": {"Note Hook"}, "X-Gitlab-Event-Uuid": {"u"}}, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].Via != "webhook" {
		t.Fatalf("told %+v", told)
	}
	told[0].Via = "" // what is found by asking needs no confirmation
	if diff := cmp.Diff(told, found); diff != "" {
		t.Errorf("(-told +found):\n%s", diff)
	}
}
