package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
)

// fromGitHub signs the body.
func fromGitHub() sender {
	body := pushPayload()
	return sender{forge: "github", body: body,
		proved: http.Header{"Content-Type": {"application/json"}, "X-Github-Event": {"push"}, "X-Hub-Signature-256": {sign(body)}},
		number: func(h http.Header, id string) { h.Set("X-GitHub-Delivery", id) }}
}

func sign(body []byte) string {
	mac := hmac.New(sha256.New, []byte(intakeSecret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// fromGitLab sends a secret along.
func fromGitLab() sender {
	return sender{forge: "gitlab", body: gitlabPayload(),
		proved: http.Header{"Content-Type": {"application/json"}, "X-Gitlab-Event": {"Push Hook"}, "X-Gitlab-Token": {intakeSecret}},
		number: func(h http.Header, id string) {
			h.Set("Idempotency-Key", id)
			h.Set("X-Gitlab-Event-UUID", id)
		}}
}

// pushPayload is a push of one commit as GitHub sends it, which is mostly
// addresses: about 7 kB.
func pushPayload() []byte {
	const commit = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
	repository := `"id":1296269,"node_id":"MDEwOlJlcG9zaXRvcnkxMjk2MjY5","name":"shop","full_name":"acme/shop","private":true,` +
		`"owner":{"name":"acme","email":null,"login":"acme","id":6752317,"node_id":"MDQ6VXNlcjY3NTIzMTc=","type":"Organization","site_admin":false},` +
		`"html_url":"https://github.com/acme/shop","description":"a shop","fork":false,"default_branch":"main"`
	for i := range 60 {
		repository += fmt.Sprintf(`,"address_%d_url":"https://api.github.com/repos/acme/shop/something/%d{/more}"`, i, i)
	}
	one := fmt.Sprintf(`{"id":%q,"tree_id":"f9d2a07e9488b91af2641b26b9407fe22a451433","distinct":true,"message":"Update README.md","timestamp":"2026-11-21T15:20:30Z",`+
		`"url":"https://github.com/acme/shop/commit/%s","author":{"name":"Ada","email":"ada@example.com","username":"ada"},`+
		`"committer":{"name":"Ada","email":"ada@example.com","username":"ada"},"added":[],"removed":[],"modified":["README.md"]}`, commit, commit)
	return fmt.Appendf(nil, `{"ref":"refs/heads/main","before":"0000000000000000000000000000000000000000","after":%q,"created":false,"deleted":false,"forced":false,`+
		`"base_ref":null,"compare":"https://github.com/acme/shop/compare/main","commits":[%s],"head_commit":%s,"repository":{%s},`+
		`"pusher":{"name":"ada","email":"ada@example.com"},"sender":{"login":"ada","id":21031067,"type":"User","site_admin":false},"installation":{"id":5,"node_id":"MDM"}}`,
		commit, one, one, repository)
}

// gitlabPayload is a push as GitLab sends it, with the newest of its commits:
// about 6 kB.
func gitlabPayload() []byte {
	const commit = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
	commits := ""
	for i := range 14 {
		if i > 0 {
			commits += ","
		}
		commits += fmt.Sprintf(`{"id":"%040d","message":"Update README.md\n","title":"Update README.md","timestamp":"2026-11-21T15:20:30+00:00",`+
			`"url":"https://gitlab.com/acme/platform/shop/-/commit/%040d","author":{"name":"Ada","email":"[REDACTED]"},"added":[],"modified":["README.md","docs/page-%d.md"],"removed":[]}`, i+1, i+1, i)
	}
	return fmt.Appendf(nil, `{"object_kind":"push","event_name":"push","before":"0000000000000000000000000000000000000000","after":%q,"ref":"refs/heads/main","ref_protected":true,`+
		`"checkout_sha":%q,"message":null,"user_id":4,"user_name":"Ada","user_username":"ada","user_email":"","user_avatar":"https://gitlab.com/uploads/-/system/user/avatar/4/avatar.png",`+
		`"project_id":15,"project":{"id":15,"name":"Shop","description":"a shop","web_url":"https://gitlab.com/acme/platform/shop","avatar_url":null,"git_ssh_url":"git@gitlab.com:acme/platform/shop.git",`+
		`"git_http_url":"https://gitlab.com/acme/platform/shop.git","namespace":"platform","visibility_level":0,"path_with_namespace":"acme/platform/shop","default_branch":"main","ci_config_path":"",`+
		`"homepage":"https://gitlab.com/acme/platform/shop","url":"git@gitlab.com:acme/platform/shop.git","ssh_url":"git@gitlab.com:acme/platform/shop.git","http_url":"https://gitlab.com/acme/platform/shop.git"},`+
		`"commits":[%s],"total_commits_count":14,"push_options":{},"repository":{"name":"Shop","url":"git@gitlab.com:acme/platform/shop.git","description":"a shop","homepage":"https://gitlab.com/acme/platform/shop",`+
		`"git_http_url":"https://gitlab.com/acme/platform/shop.git","git_ssh_url":"git@gitlab.com:acme/platform/shop.git","visibility_level":0}}`, commit, commit, commits)
}
