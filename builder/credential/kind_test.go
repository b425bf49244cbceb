package credential

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/registry-build/registry-build/builder"
)

// sshKey makes a private key as ssh-keygen writes it.
func sshKey(t testing.TB, passphrase string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "builds")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "builds", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

const kubeToken = "eyJhbGciOiJSUzI1NiJ9.c2VydmljZS1hY2NvdW50.sig_na-ture"

// kube is a kubeconfig with this user.
func kube(user string) string {
	return `apiVersion: v1
kind: Config
current-context: prod
clusters:
- name: prod
  cluster:
    server: https://10.0.0.1:6443
    certificate-authority-data: Q0VSVElGSUNBVEU=
contexts:
- name: prod
  context: {cluster: prod, user: deployer, namespace: shop}
users:
- name: deployer
  user: ` + user + "\n"
}

func TestReadFields(t *testing.T) {
	tests := map[string]struct {
		kind builder.CredentialKind
		in   string
		want map[string]string
		err  string
	}{
		"token":              {builder.KindToken, "some token\n", map[string]string{"value": "some token"}, ""},
		"token like yaml":    {builder.KindToken, "value: x", map[string]string{"value": "value: x"}, ""},
		"file keeps its end": {builder.KindSSHKey, "-----\n\n", map[string]string{"value": "-----\n"}, ""},
		"password":           {builder.KindPassword, "username: ada\npassword: \"p: w\"\n", map[string]string{"username": "ada", "password": "p: w"}, ""},
		"json":               {builder.KindPassword, `{"username": "ada", "password": "p\u0020w"}`, map[string]string{"username": "ada", "password": "p w"}, ""},
		"numbers stay":       {builder.KindPassword, "username: yes\npassword: 0123e4", map[string]string{"username": "yes", "password": "0123e4"}, ""},
		"nothing":            {builder.KindChatRobot, "service: slack\nurl: u\nsecret:\n", map[string]string{"service": "slack", "url": "u"}, ""},
		"mail":               {builder.KindChatRobot, "server: s\nfrom: f\nservice: email", map[string]string{"service": "email", "server": "s", "from": "f"}, ""},

		"empty":           {builder.KindPassword, "\n", nil, "the value is empty"},
		"one text":        {builder.KindPassword, "hunter2horse", nil, "a password is made of several fields; write these lines: username: NAME, password: PASSWORD"},
		"list":            {builder.KindAPIKey, "[hunter2horse]", nil, "an api-key is made of several fields; write these lines: secretId: SECRETID, secretKey: SECRETKEY"},
		"no yaml":         {builder.KindPassword, "username: ada\npassword: hunter2horse: x", nil, "the value is no YAML in line 2; write these lines:"},
		"anchor":          {builder.KindPassword, "username: ada\npassword: *hunter2horse", nil, "the value is no YAML; write"},
		"percent":         {builder.KindPassword, "username: ada\npassword: %hunter2horse", nil, "the value is no YAML in line"},
		"two documents":   {builder.KindPassword, "username: ada\n---\nhunter2horse: x", nil, "more than one YAML document"},
		"typing error":    {builder.KindPassword, "username: ada\npasword: hunter2horse", nil, `line 2: a password has no field pasword; did you mean "password"?`},
		"secret as key":   {builder.KindPassword, "username: ada\nhunter2horse: x", nil, "line 2 is no field of a password; write these lines:"},
		"twice":           {builder.KindPassword, "password: hunter2horse\npassword: hunter2horse", nil, "line 2: password is there twice"},
		"bracket":         {builder.KindPassword, "username: ada\npassword: [hunter2horse]", nil, "line 2: password is one text; write it in quotes"},
		"mail in chat":    {builder.KindChatRobot, "service: slack\nserver: hunter2horse", nil, `line 2 is no field of a chat-robot; write these lines: service: slack|dingtalk|wecom|feishu|email, url: https://…, secret: SECRET (if there is one)`},
		"address in mail": {builder.KindChatRobot, "service: email\nurl: hunter2horse", nil, "line 2 is no field of a chat-robot; write these lines: service: slack|dingtalk|wecom|feishu|email, server: smtp.example.com:587"},
		"kind":            {"pasword", "hunter2horse", nil, `kind "pasword" is unknown; did you mean "password"?`},
		"other kind":      {"certificate", "hunter2horse", nil, `kind "certificate" is unknown; write one of: password, token, api-key, ssh-key, registry-login, kubeconfig, signing-secret, chat-robot`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ReadFields(tt.kind, strings.NewReader(tt.in))
			if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != (tt.err == "") {
				t.Fatalf("%v (-want +got):\n%s", err, diff)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "hunter2horse")) {
				t.Errorf("error %v; want …%s…", err, tt.err)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	type fields = map[string]string
	public := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIhunter2horse builds"
	tests := map[string]struct {
		kind   builder.CredentialKind
		fields fields
		err    string // "": it is good
	}{
		"password":       {builder.KindPassword, fields{"username": "ada", "password": "12345678"}, ""},
		"no password":    {builder.KindPassword, fields{"username": "hunter2horse"}, "password is missing; write these lines: username: NAME, password: PASSWORD"},
		"short password": {builder.KindPassword, fields{"username": "ada", "password": "hunter2"}, "password has 7 bytes, a password needs at least 8: a shorter one cannot be hidden in logs"},
		"colon":          {builder.KindPassword, fields{"username": "a:hunter2horse", "password": "12345678"}, "username has a colon"},
		"line break":     {builder.KindPassword, fields{"username": "a\nhunter2horse", "password": "12345678"}, "username has a control character or a line break"},
		"unknown field":  {builder.KindPassword, fields{"username": "ada", "password": "12345678", "host": "hunter2horse"}, "a password has no field host"},

		"token":       {builder.KindToken, fields{"value": "12345678"}, ""},
		"empty":       {builder.KindToken, fields{}, "the value is empty"},
		"short token": {builder.KindToken, fields{"value": "1234567"}, "the value has 7 bytes, a token needs at least 8"},
		"long":        {builder.KindToken, fields{"value": strings.Repeat("x", MaxValue+1)}, "longer than 64 KiB"},

		"api key":      {builder.KindAPIKey, fields{"secretId": "AKID1234", "secretKey": "12345678"}, ""},
		"half a key":   {builder.KindAPIKey, fields{"secretId": "hunter2horse"}, "secretKey is missing; write these lines: secretId: SECRETID"},
		"short secret": {builder.KindSigningSecret, fields{"value": "123456789012345"}, "needs at least 16"},

		"ssh key":    {builder.KindSSHKey, fields{"value": sshKey(t, "")}, ""},
		"locked key": {builder.KindSSHKey, fields{"value": sshKey(t, "hunter2horse")}, "the value is a key with a passphrase, and nobody is there to type it when a build needs the key; take it off a copy: cp KEY COPY && ssh-keygen -p -N '' -f COPY"},
		"locked too": {builder.KindSSHKey, fields{"value": "-----BEGIN ENCRYPTED PRIVATE KEY-----\naHVudGVyMmhvcnNl\n-----END ENCRYPTED PRIVATE KEY-----"}, "is a key with a passphrase"},
		"public key": {builder.KindSSHKey, fields{"value": public}, "the value is the public key; give the private one"},
		"putty":      {builder.KindSSHKey, fields{"value": "PuTTY-User-Key-File-3: ssh-ed25519 hunter2horse"}, "puttygen KEY.ppk -O private-openssh -o KEY"},
		"no ssh key": {builder.KindSSHKey, fields{"value": "hunter2horse"}, "is no private key that can be read"},

		"login":            {builder.KindRegistryLogin, fields{"registry": "r.example.com:5000/team", "username": "ada", "password": "12345678"}, ""},
		"login, localhost": {builder.KindRegistryLogin, fields{"registry": "localhost:5000", "username": "ada", "password": "12345678"}, ""},
		"login, hub":       {builder.KindRegistryLogin, fields{"registry": "docker.io", "username": "ada", "password": "12345678"}, ""},
		"login, address":   {builder.KindRegistryLogin, fields{"registry": "https://hunter2horse", "username": "ada", "password": "12345678"}, "registry must be what image names begin with, like registry.example.com, registry.example.com:5000 or registry.example.com/team, without https://"},
		"login, word":      {builder.KindRegistryLogin, fields{"registry": "hunter2horse", "username": "ada", "password": "12345678"}, "registry must be what image names begin with"},
		"login, capitals":  {builder.KindRegistryLogin, fields{"registry": "r.example.com/Hunter2horse", "username": "ada", "password": "12345678"}, "registry must be"},

		"kubeconfig":       {builder.KindKubeconfig, fields{"value": kube("{token: " + kubeToken + "}")}, ""},
		"kube, no yaml":    {builder.KindKubeconfig, fields{"value": "a: b: hunter2horse"}, "the value is no kubeconfig; write it as kubectl config view --raw --flatten shows it"},
		"kube, something":  {builder.KindKubeconfig, fields{"value": "clusters: [{name: hunter2horse}]"}, "the value is no kubeconfig: it has no contexts; write it as kubectl config view --raw --flatten shows it"},
		"kube, list":       {builder.KindKubeconfig, fields{"value": "users: hunter2horse"}, "the value is no kubeconfig; write"},
		"kube, exec":       {builder.KindKubeconfig, fields{"value": kube("{exec: {command: hunter2horse}}")}, "has a user with exec, which would run a program here"},
		"kube, merged":     {builder.KindKubeconfig, fields{"value": "x: &x {exec: {command: hunter2horse}}\n" + kube("{<<: *x}")}, "has a user with exec"},
		"kube, capitals":   {builder.KindKubeconfig, fields{"value": kube("{Exec: {command: hunter2horse}}")}, "has a user with exec"},
		"kube, provider":   {builder.KindKubeconfig, fields{"value": kube("{auth-provider: {name: hunter2horse}}")}, "has a user with auth-provider"},
		"kube, token file": {builder.KindKubeconfig, fields{"value": kube("{tokenFile: /hunter2horse}")}, "names a file (tokenFile of a user), and no files are read here; write it as kubectl config view --raw --flatten"},
		"kube, key file":   {builder.KindKubeconfig, fields{"value": kube("{client-key: /hunter2horse}")}, "names a file (client-key of a user)"},
		"kube, authority":  {builder.KindKubeconfig, fields{"value": strings.ReplaceAll(kube("{token: abcdefgh}"), "certificate-authority-data", "certificate-authority")}, "names the file of a certificate authority"},
		"kube, context":    {builder.KindKubeconfig, fields{"value": strings.ReplaceAll(kube("{token: abcdefgh}"), "current-context: prod", "current-context: hunter2horse")}, "has a current-context that is none of its contexts"},

		"robot":              {builder.KindChatRobot, fields{"service": "slack", "url": "https://hooks.slack.com/services/T/B/x"}, ""},
		"signed robot":       {builder.KindChatRobot, fields{"service": "dingtalk", "url": "https://oapi.dingtalk.com/robot/send?access_token=x", "secret": "SEC12345"}, ""},
		"no service":         {builder.KindChatRobot, fields{"url": "https://hunter2horse"}, "service is missing; write these lines: service: slack|dingtalk|wecom|feishu|email"},
		"misspelt service":   {builder.KindChatRobot, fields{"service": "dingtlk", "url": "https://hunter2horse"}, `service is none that messages can be sent to; did you mean "dingtalk"?`},
		"unknown service":    {builder.KindChatRobot, fields{"service": "hunter2horse", "server": "x"}, "write one of: slack, dingtalk, wecom, feishu, email"},
		"lark":               {builder.KindChatRobot, fields{"service": "Lark"}, "write service: feishu"},
		"robot, no address":  {builder.KindChatRobot, fields{"service": "slack", "url": "hunter2horse"}, "url must be the whole address"},
		"robot, user":        {builder.KindChatRobot, fields{"service": "slack", "url": "https://a:hunter2horse@x/y"}, "url has a user name or password"},
		"robot, bad address": {builder.KindChatRobot, fields{"service": "slack", "url": "https://hunter2horse:port%zz"}, "url must be the whole address"},
		"mail":               {builder.KindChatRobot, fields{"service": "email", "server": "smtp.example.com:587", "from": "Builds <b@example.com>"}, ""},
		"mail with login":    {builder.KindChatRobot, fields{"service": "email", "server": "smtp.example.com:587", "from": "b@example.com", "username": "b", "password": "12345678"}, ""},
		"mail, half a login": {builder.KindChatRobot, fields{"service": "email", "server": "smtp.example.com:587", "from": "b@example.com", "username": "hunter2horse"}, "there is a username and no password; write both, or neither"},
		"mail, no port":      {builder.KindChatRobot, fields{"service": "email", "server": "hunter2horse", "from": "b@example.com"}, "server must be host:port, like smtp.example.com:587"},
		"mail, no address":   {builder.KindChatRobot, fields{"service": "email", "server": "s:25", "from": "hunter2horse"}, "from must be a mail address"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := Check(builder.Credential{Kind: tt.kind, Fields: tt.fields})
			switch {
			case (err == nil) != (tt.err == ""):
				t.Errorf("error %v; want %q", err, tt.err)
			case err != nil && !strings.Contains(err.Error(), tt.err):
				t.Errorf("error %v; want …%s…", err, tt.err)
			case err != nil && strings.Contains(strings.ToLower(err.Error()), "hunter2"):
				t.Errorf("a value is shown: %v", err)
			}
		})
	}
}

// What the rows say is what the domain names.
func TestKinds(t *testing.T) {
	want := []builder.CredentialKind{builder.KindPassword, builder.KindToken, builder.KindAPIKey, builder.KindSSHKey,
		builder.KindRegistryLogin, builder.KindKubeconfig, builder.KindSigningSecret, builder.KindChatRobot}
	if diff := cmp.Diff(want, Kinds()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, kind := range want {
		fields, err := Fields(kind, "")
		if err != nil || len(fields) == 0 || Single(kind) != (len(fields) == 1) {
			t.Errorf("%s: %v, %v", kind, fields, err)
		}
	}
}
