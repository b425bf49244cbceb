package credential

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
)

// redactorFor hides what the credentials have that is secret.
func redactorFor(all ...builder.Credential) *Redactor {
	var patterns []string
	for _, c := range all {
		patterns = append(patterns, entry{Kind: c.Kind, Fields: c.Fields}.forms()...)
	}
	return redactorOf(patterns)
}

func TestRedactorOfKinds(t *testing.T) {
	type fields = map[string]string
	pair := base64.StdEncoding.EncodeToString([]byte("ada:s3cret-horse"))
	proxied := strings.ReplaceAll(kube("{username: ada, password: s3cret-horse, token: "+kubeToken+"}"),
		"    server: https://10.0.0.1:6443", "    server: https://10.0.0.1:6443\n    proxy-url: http://proxy:thr0ugh-it@10.0.0.2:3128")
	robot := fields{"service": "slack", "url": "https://hooks.slack.com/services/T0AAAAAAA/B0BBBBBBB/abcdefghijklmnopqrstuvwx"}
	ding := fields{"service": "dingtalk", "url": "https://oapi.dingtalk.com/robot/send?access_token=0123456789abcdef", "secret": "SEC0123456789"}
	tests := map[string]struct {
		kind     builder.CredentialKind
		fields   fields
		in, want string
	}{
		"password":        {builder.KindPassword, fields{"username": "ada", "password": "s3cret-horse"}, "ada logs in with s3cret-horse", "ada logs in with ***"},
		"basic header":    {builder.KindPassword, fields{"username": "ada", "password": "s3cret-horse"}, "authorization: Basic " + pair, "authorization: Basic ***"},
		"docker config":   {builder.KindRegistryLogin, fields{"registry": "r.example.com", "username": "ada", "password": "s3cret-horse"}, `{"auths":{"r.example.com":{"auth":"` + pair + `"}}}`, `{"auths":{"r.example.com":{"auth":"***"}}}`},
		"api key":         {builder.KindAPIKey, fields{"secretId": "AKID12345678", "secretKey": "k3y-of-a-cloud"}, "AKID12345678 AND k3y-of-a-cloud", "*** AND ***"},
		"robot":           {builder.KindChatRobot, robot, "POST https://hooks.slack.com/services/T0AAAAAAA/B0BBBBBBB/abcdefghijklmnopqrstuvwx", "POST ***"},
		"robot's path":    {builder.KindChatRobot, robot, "hooks.slack.com: POST /services/T0AAAAAAA/B0BBBBBBB/abcdefghijklmnopqrstuvwx", "hooks.slack.com: POST ***"},
		"robot's key":     {builder.KindChatRobot, robot, "key abcdefghijklmnopqrstuvwx of slack", "key *** of slack"},
		"robot's words":   {builder.KindChatRobot, ding, "dingtalk: oapi.dingtalk.com/robot/send says no", "dingtalk: oapi.dingtalk.com/robot/send says no"},
		"robot's token":   {builder.KindChatRobot, ding, `{"access_token":"0123456789abcdef","secret":"SEC0123456789"}`, `{"access_token":"***","secret":"***"}`},
		"mail":            {builder.KindChatRobot, fields{"service": "email", "server": "smtp.example.com:587", "from": "b@example.com", "username": "ada", "password": "s3cret-horse"}, "b@example.com smtp.example.com:587 ada s3cret-horse", "b@example.com smtp.example.com:587 ada ***"},
		"kubeconfig":      {builder.KindKubeconfig, fields{"value": proxied}, "x " + proxied, "x ***\n"},
		"kube, token":     {builder.KindKubeconfig, fields{"value": proxied}, "    token: " + kubeToken, "    token: ***"},
		"kube, pair":      {builder.KindKubeconfig, fields{"value": proxied}, "Basic " + pair + " for ada with s3cret-horse", "Basic *** for ada with ***"},
		"kube, proxy":     {builder.KindKubeconfig, fields{"value": proxied}, "dial http://proxy:thr0ugh-it@10.0.0.2:3128", "dial http://proxy:***@10.0.0.2:3128"},
		"kube, words":     {builder.KindKubeconfig, fields{"value": proxied}, "apiVersion: v1\nkind: Config\ncurrent-context: prod\n- name: prod\n    server: https://10.0.0.1:6443\nusers:\n- name: deployer\n", "apiVersion: v1\nkind: Config\ncurrent-context: prod\n- name: prod\n    server: https://10.0.0.1:6443\nusers:\n- name: deployer\n"},
		"kube, authority": {builder.KindKubeconfig, fields{"value": proxied}, "certificate-authority-data: Q0VSVElGSUNBVEU=", "certificate-authority-data: Q0VSVElGSUNBVEU="},
		"of a later time": {"passkey", fields{"what": "s3cret-horse"}, "a s3cret-horse", "a ***"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := redactorFor(builder.Credential{Kind: tt.kind, Fields: tt.fields})
			if got := r.String(tt.in); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// blocks are the lines inside PEM armour.
func blocks(armoured string) []string {
	lines := strings.Split(strings.TrimSpace(armoured), "\n")
	return lines[1 : len(lines)-1]
}

// A private key is hidden however it is shown; what tools print about keys in
// general is not.
func TestRedactorOfSSHKey(t *testing.T) {
	key, other := sshKey(t, ""), sshKey(t, "")
	r := redactorFor(single("deploy", builder.KindSSHKey, key))
	quoted, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{
		"file": key, "json": string(quoted), "windows": strings.ReplaceAll(key, "\n", "\r\n"),
		"base64": base64.StdEncoding.EncodeToString([]byte(key)), "query": url.QueryEscape(key),
		"one line": strings.Join(blocks(key), ""), "with spaces": strings.ReplaceAll(key, "\n", " "),
		"numbered": "#12 0.1 " + strings.ReplaceAll(key, "\n", "\n#12 0.1 "),
	}
	for how, text := range shown {
		got := r.String(text)
		for _, line := range blocks(key) {
			if len(line) >= leastBlock && strings.Contains(got, line) {
				t.Errorf("%s shows a line in:\n%s", how, got)
			}
		}
		if len(got) > 300 { // prefixes and armour
			t.Errorf("%s shows much:\n%s", how, got)
		}
	}
	plain := "-----BEGIN OPENSSH PRIVATE KEY-----\n" + blocks(other)[1] + "\n-----END OPENSSH PRIVATE KEY-----\nssh-ed25519 key builds\n"
	if got := r.String(plain); got != plain {
		t.Errorf("ordinary text became\n%s", got)
	}
}

func TestRedactorOfKubeconfigKey(t *testing.T) {
	der := []byte(strings.Repeat("a private key in DER \x00\x01\x02", 20))
	armoured := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der}))
	data := base64.StdEncoding.EncodeToString([]byte(armoured))
	config := kube("{client-certificate-data: Q0VSVElGSUNBVEU=, client-key-data: " + data + "}")
	r := redactorFor(single("prod", builder.KindKubeconfig, config))
	if got := r.String("client-key-data: " + data); got != "client-key-data: ***" {
		t.Errorf("the key's data became %s", got)
	}
	if got := r.String("data: Q0VSVElGSUNBVEU="); strings.Contains(got, Mask) {
		t.Errorf("the certificate, which is no secret, became %s", got)
	}
	for line := range strings.Lines("#1 " + strings.ReplaceAll(armoured, "\n", "\n#1 ")) {
		got, armour := r.String(line), strings.Contains(line, "-----")
		if hidden := strings.Contains(got, Mask); hidden == armour && len(line) > 12 {
			t.Errorf("%q became %q", line, got)
		}
	}
	if got := r.String(base64.StdEncoding.EncodeToString([]byte(config))); !strings.HasPrefix(got, Mask) || len(got) > 10 {
		t.Errorf("the kubeconfig in base64 became %.80s", got)
	}
}

// No form of a secret is ever in what leaves, however the text is cut, and how
// it is cut makes no difference.
func FuzzRedactorCredentials(f *testing.F) {
	f.Add("ada", "s3cret-horse", "line one\nline two", "Basic YWRhOnMzY3JldC1ob3JzZQ== s3cret-horse", []byte{0})
	f.Add("ada", "horsehorsehorse", "horse\nhorsehorse", "horsehorsehorsehorseho", []byte{3, 1})
	f.Add("", "p@ss w/rd+", "-----BEGIN X-----\nMIIEowIBAAKCAQEA\n-----END X-----", "p%40ss+w%2frd%2b MIIEowIBAAKCAQEA-----END X-----", []byte{1})
	f.Add("u", "\"quo\\ted\n", "\xff\xfe\xfd\xfc", "\\\"quo\\\\ted \xff\xfe\xfd\xfc//79/P==", []byte{7, 0, 2})
	f.Fuzz(func(t *testing.T, name, password, value, text string, cuts []byte) {
		if len(name)+len(password)+len(value) > 300 || len(text) > 2000 || strings.Contains(name+password+value, "*") {
			return // a secret with stars may look like what the mask makes of its neighbours
		}
		e := []entry{
			{Kind: builder.KindPassword, Fields: map[string]string{"username": name, "password": password}},
			{Kind: builder.KindToken, Fields: map[string]string{"value": value}},
		}
		patterns := append(e[0].forms(), e[1].forms()...)
		r := redactorOf(patterns)
		pair := base64.StdEncoding.EncodeToString([]byte(name + ":" + password))
		for _, in := range []string{text, text + password + value + text, pair + text + value[:len(value)/2] + value + pair} {
			whole := r.String(in)
			if got := write(t, r, in, cuts); got != whole {
				t.Fatalf("in pieces %v: %q\nwhole: %q", cuts, got, whole)
			}
			for _, p := range patterns {
				if strings.Contains(whole, p) {
					t.Fatalf("%q shows %q", whole, p)
				}
			}
		}
	})
}

// What waits behind a secret in the making is bounded by the longest form.
func TestRedactorOfKindsLetsGo(t *testing.T) {
	var b bytes.Buffer
	w := redactorFor(single("deploy", builder.KindSSHKey, sshKey(t, "")), single("prod", builder.KindKubeconfig, kube("{token: "+kubeToken+"}"))).Writer(&b)
	for _, line := range []string{"#1 apiVersion: v1x\n", "-----BEGIN OPENSSH PRIVATE KEY-----\n\n", "kind: Config\n"} {
		b.Reset()
		if _, err := w.Write([]byte(line)); err != nil || b.String() != line {
			t.Errorf("%q is held back: %q is out", line, b.String())
		}
	}
}
