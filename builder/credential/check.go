package credential

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"golang.org/x/crypto/ssh"

	"github.com/registry-build/registry-build/builder"
)

// The checks of single fields. Each error goes on after the field's name, and
// none shows a value: what was written into the wrong field may be a secret.

func checkUsername(s string) error {
	if strings.Contains(s, ":") {
		return errors.New("has a colon, which no user name may have in a login over HTTP")
	}
	return nil
}

func checkService(s string) error {
	for _, known := range Services() {
		if s == known {
			return nil
		}
	}
	if strings.EqualFold(s, "lark") {
		return errors.New(`is another name of Feishu; write service: feishu`)
	}
	return errors.New("is none that messages can be sent to; " + advise(s, Services()))
}

// checkRegistry wants what image names begin with.
func checkRegistry(s string) error {
	const rule = "must be what image names begin with, like registry.example.com, registry.example.com:5000 or registry.example.com/team"
	if strings.Contains(s, "://") {
		return errors.New(rule + ", without https://; that of Docker Hub is docker.io")
	}
	// Two more elements make any registry and prefix the full name of an image.
	named, err := reference.ParseNamed(s + "/owner/name")
	host, _, _ := strings.Cut(s, "/")
	if err != nil || reference.Domain(named) != host {
		return errors.New(rule)
	}
	return nil
}

// checkSSHKey wants a private key that nobody has to unlock.
func checkSSHKey(s string) error {
	_, err := ssh.ParseRawPrivateKey([]byte(s))
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &locked), strings.Contains(s, "-----BEGIN ENCRYPTED PRIVATE KEY-----"):
		return errors.New("is a key with a passphrase, and nobody is there to type it when a build needs the key; take it off a copy: cp KEY COPY && ssh-keygen -p -N '' -f COPY")
	case strings.HasPrefix(s, "ssh-"), strings.HasPrefix(s, "ecdsa-"), strings.Contains(s, "PUBLIC KEY-----"):
		return errors.New("is the public key; give the private one, which begins with -----BEGIN OPENSSH PRIVATE KEY-----")
	case strings.HasPrefix(s, "PuTTY-"):
		return errors.New("is a key in PuTTY's own form; turn it into OpenSSH's: puttygen KEY.ppk -O private-openssh -o KEY")
	}
	return errors.New("is no private key that can be read; one begins with -----BEGIN OPENSSH PRIVATE KEY-----, and ssh-keygen -t ed25519 -N '' makes one")
}

// checkRobotURL wants the address that the chat gave out. Which hosts may be
// spoken to is for whoever sends there.
func checkRobotURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return errors.New("must be the whole address that the chat shows for its robot, which begins with https://")
	case u.User != nil:
		return errors.New("has a user name or password before an @; write the address as the chat shows it")
	case u.Fragment != "":
		return errors.New("has a # with something behind it, which is never sent; write the address as the chat shows it")
	}
	return nil
}

func checkMailServer(s string) error {
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.Atoi(port)
	if err != nil || host == "" || strings.ContainsAny(host, "/@ ") || bad != nil || n < 1 || n > 65535 {
		return errors.New("must be host:port, like smtp.example.com:587")
	}
	return nil
}

func checkMailFrom(s string) error {
	if _, err := mail.ParseAddress(s); err != nil {
		return errors.New("must be a mail address, like builds@example.com")
	}
	return nil
}

func checkMail(fields map[string]string) error {
	name, password := fields[builder.FieldUsername], fields[builder.FieldPassword]
	if (name == "") == (password == "") {
		return nil
	}
	there, missing := builder.FieldUsername, builder.FieldPassword
	if name == "" {
		there, missing = missing, there
	}
	return fmt.Errorf("there is a %s and no %s; write both, or neither for a server that asks for no login", there, missing)
}
