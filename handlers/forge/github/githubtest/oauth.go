package githubtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// grant is an OAuth code that has not been exchanged yet.
type grant struct {
	app  *App
	user *account
}

// authorize is the page on which a person lets the app know who they are. They
// press "Authorize" at once; the query's login says who they are.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.unlock()
	q := r.URL.Query()
	i := slices.IndexFunc(s.apps, func(a *App) bool { return a.ClientID == q.Get("client_id") })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	app := s.apps[i]
	target, err := url.Parse(cmp.Or(q.Get("redirect_uri"), app.CallbackURL))
	if err != nil || app.CallbackURL == "" || !strings.HasPrefix(target.String(), app.CallbackURL) {
		http.Error(w, "The redirect_uri is not associated with this application.", http.StatusBadRequest)
		return
	}
	query := target.Query()
	query.Set("code", s.grant(app, q.Get("login")))
	if state := q.Get("state"); state != "" {
		query.Set("state", state)
	}
	target.RawQuery = query.Encode()
	http.Redirect(w, r, target.String(), http.StatusFound)
}

// grant makes a code for a person.
func (s *Server) grant(app *App, login string) string {
	code := strings.ToLower(random(20))
	s.grants[code] = &grant{app: app, user: s.user(login)}
	return code
}

// AfterInstall is where GitHub sends the browser of the person who installed
// the app: the callback URL with a code when user authorization is requested
// at installation, else the setup URL.
func (i *Installation) AfterInstall(login string) string {
	i.App.s.mu.Lock()
	defer i.App.s.unlock()
	return i.afterInstall(login)
}

func (i *Installation) afterInstall(login string) string {
	query := url.Values{"installation_id": {fmt.Sprint(i.ID)}, "setup_action": {"install"}}
	target := i.App.SetupURL
	if i.App.RequestOAuthOnInstall {
		query.Set("code", i.App.s.grant(i.App, login))
		target = i.App.CallbackURL
	}
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	return target + separator + query.Encode()
}

// accessToken exchanges a code; every refusal is a 200 with an error in it:
// https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
func (s *Server) accessToken(w http.ResponseWriter, r *http.Request) {
	in := map[string]string{}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil {
			http.Error(w, "Bad Request", http.StatusBadRequest)
			return
		}
	} else {
		for _, k := range []string{"client_id", "client_secret", "code"} {
			in[k] = r.FormValue(k)
		}
	}
	s.mu.Lock()
	defer s.unlock()
	out := map[string]string{}
	refuse := func(code, description string) {
		out["error"], out["error_description"] = code, description
		out["error_uri"] = "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/"
	}
	g := s.grants[in["code"]]
	switch {
	case g == nil:
		refuse("bad_verification_code", "The code passed is incorrect or expired.")
	case g.app.ClientID != in["client_id"] || g.app.ClientSecret != in["client_secret"]:
		refuse("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.")
	default:
		delete(s.grants, in["code"])
		t := &token{value: "ghu_" + random(36), kind: userToken, app: g.app, user: g.user}
		s.tokens[t.value] = t
		out["access_token"], out["token_type"], out["scope"] = t.value, "bearer", ""
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(out)
		return
	}
	form := url.Values{}
	for k, v := range out {
		form.Set(k, v)
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	fmt.Fprint(w, form.Encode())
}

func (s *Server) getUser(c *call) (answer, error) {
	body, _ := s.userJSON(c.tok.user).(object)
	for _, k := range []string{"name", "company", "blog", "location", "email", "hireable", "bio"} {
		body[k] = nil
	}
	body["name"], body["user_view_type"] = c.tok.user.login, "public"
	for _, k := range []string{"public_repos", "public_gists", "followers", "following"} {
		body[k] = 0
	}
	body["created_at"], body["updated_at"] = stamp(s.now()), stamp(s.now())
	return ok(body)
}

func (s *Server) userInstallations(c *call) (answer, error) {
	list := []any{}
	for _, a := range s.apps {
		for _, i := range a.installs {
			if c.tok.sees(i) {
				list = append(list, i.json())
			}
		}
	}
	return c.pageIn("installations", list, nil)
}

// sees reports whether the person has a repository of the installation and,
// for a token of OAuth, whether it is the token's own app.
func (t *token) sees(i *Installation) bool {
	if t.app != nil && t.app != i.App {
		return false
	}
	for _, r := range i.all() {
		if r.explicit(t.user) != "none" {
			return true
		}
	}
	return i.account == t.user
}

// userInstallationRepositories lists what of an installation the person can
// see by a right of their own, not just because it is public.
func (s *Server) userInstallationRepositories(c *call) (answer, error) {
	for _, a := range s.apps {
		for _, i := range a.installs {
			if fmt.Sprint(i.ID) != c.vars["installation_id"] || !c.tok.sees(i) {
				continue
			}
			list := []any{}
			for _, r := range i.all() {
				if r.explicit(c.tok.user) != "none" {
					list = append(list, r.json())
				}
			}
			return c.pageIn("repositories", list, object{"repository_selection": i.selection()})
		}
	}
	return answer{}, errNotFound
}
