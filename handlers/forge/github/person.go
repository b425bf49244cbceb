package github

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxAnswer is the longest answer that is read from GitHub, in bytes.
const maxAnswer = 8 << 20

// plain calls GitHub as nobody, or as the person whose token it is: the few
// calls that belong to no installation.
func (a *App) plain(ctx context.Context, method, address, token string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("User-Agent", "registry-build")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if strings.HasPrefix(address, a.Config.URL+"/login/") {
		req.Header.Set("Accept", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := (&http.Client{Transport: a.HTTP, Timeout: callLimit}).Do(req)
	if err != nil {
		var with *url.Error
		if errors.As(err, &with) {
			err = with.Err // without the address, which may hold a code that is still good
		}
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return &refusal{status: resp.StatusCode, message: messageOf(data)}
	}
	return json.Unmarshal(data, out)
}

// refusedWith reports whether GitHub refused a call with one of the statuses.
func refusedWith(err error, statuses ...int) bool {
	var no *refusal
	return errors.As(err, &no) && slices.Contains(statuses, no.status)
}

// errCode is a code that GitHub does not take: used, too old, or made up.
var errCode = errors.New("GitHub does not take the code")

// person exchanges the code that GitHub sent a person to us with for a token
// of theirs. It is used to ask what they may see, and dropped.
// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
func (a *App) person(ctx context.Context, id Identity, code string) (token string, err error) {
	var answer struct {
		AccessToken string `json:"access_token"`
		Description string `json:"error_description"`
	}
	in := map[string]string{"client_id": id.ClientID, "client_secret": id.ClientSecret, "code": code}
	if err := a.plain(ctx, "POST", a.Config.URL+"/login/oauth/access_token", "", in, &answer); err != nil {
		return "", err
	}
	if answer.AccessToken == "" {
		return "", fmt.Errorf("%w: %s", errCode, answer.Description)
	}
	return answer.AccessToken, nil
}

// seen is a repository that a person may see in an installation.
type seen struct {
	ID            int64  `json:"id"`
	Name          string `json:"name"`
	DefaultBranch string `json:"default_branch"`
	Owner         struct {
		Login string `json:"login"`
	} `json:"owner"`
}

// maxSeen is how many repositories the page after an installation lists.
const maxSeen = 300

// repositories are those of the installation that the person may see, and how
// many there are.
func (a *App) repositories(ctx context.Context, token string, installation int64) (list []seen, total int, err error) {
	for page := 1; len(list) < maxSeen; page++ {
		var answer struct {
			Total        int    `json:"total_count"`
			Repositories []seen `json:"repositories"`
		}
		q := url.Values{"per_page": {"100"}, "page": {strconv.Itoa(page)}}
		address := fmt.Sprintf("%s/user/installations/%d/repositories?%s", a.Config.API, installation, q.Encode())
		if err := a.plain(ctx, "GET", address, token, nil, &answer); err != nil {
			return nil, 0, err
		}
		list, total = append(list, answer.Repositories...), answer.Total
		if len(answer.Repositories) == 0 || len(list) >= total {
			break
		}
	}
	return list, total, nil
}
