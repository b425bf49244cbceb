package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"unicode"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/registry-build/registry-build/builder"
)

const maxQuote = 200 // characters of what a registry says that are shown

// explainer turns what went wrong with a registry into a sentence for the
// person who pushed.
type explainer struct {
	stage builder.Stage
	verb  string // what was tried: "read", "tag"
	repo  name.Repository
	login builder.Login
}

// explain returns ctx's error when ctx has ended, an error that wraps
// builder.ErrNotFound for a 404, what is a *builder.Failure already as it is,
// and else a *builder.Failure.
func (x explainer) explain(ctx context.Context, err error) error {
	var failure *builder.Failure
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &failure):
		return err
	case status(err) == http.StatusNotFound:
		return fmt.Errorf("%s %s: %w", x.verb, x.repo, builder.ErrNotFound)
	}
	return &builder.Failure{Stage: x.stage, Message: x.sentence(err), Err: x.redact(err)}
}

// sentence looks for a bad certificate first: where plain HTTP is tried after
// HTTPS, the error is about both.
func (x explainer) sentence(err error) string {
	for _, say := range []func(error) string{x.certificate, x.answered, x.unreached} {
		if s := say(err); s != "" {
			return s
		}
	}
	return fmt.Sprintf("the registry %s gave an answer that makes no sense when asked to %s %s: the operator's log has it", x.repo.RegistryStr(), x.verb, x.repo.RepositoryStr())
}

func (x explainer) certificate(err error) string {
	host := x.repo.RegistryStr()
	var (
		unknown   x509.UnknownAuthorityError
		wrongName x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &unknown):
		return fmt.Sprintf("the registry %s shows a certificate of an authority that is not known here: the operator has to add the authority to this machine", host)
	case errors.As(err, &wrongName):
		return fmt.Sprintf("the registry %s shows a certificate for another name: check the name, or renew the certificate", host)
	case errors.As(err, &invalid), errors.As(err, &verify):
		return fmt.Sprintf("the registry %s shows a certificate that is not valid (expired, perhaps): renew it", host)
	}
	return ""
}

// answered is about registries that said no.
func (x explainer) answered(err error) string {
	host, repo, quote := x.repo.RegistryStr(), x.repo.RepositoryStr(), x.quote(err)
	switch code := status(err); {
	case code == 0:
		return ""
	case code == http.StatusUnauthorized && x.login.Password == "":
		return fmt.Sprintf("the registry %s asks for a login to %s %s, and there is none for it%s: add its credentials, or check the name", host, x.verb, repo, quote)
	case code == http.StatusUnauthorized:
		return fmt.Sprintf("the registry %s does not accept the login for %s%s: renew its user name and password or token", host, repo, quote)
	case code == http.StatusForbidden:
		return fmt.Sprintf("the login for the registry %s may not %s %s%s: grant it that right, or check the name", host, x.verb, repo, quote)
	case code == http.StatusTooManyRequests:
		return fmt.Sprintf("the registry %s limits how often it may be asked, and did not let us %s %s%s: try again later, or log in with an account that has a higher limit", host, x.verb, repo, quote)
	case code >= 500:
		return fmt.Sprintf("the registry %s is not well (status %d) and could not %s %s%s: try again later", host, code, x.verb, repo, quote)
	default:
		return fmt.Sprintf("the registry %s refused to %s %s (status %d)%s", host, x.verb, repo, code, quote)
	}
}

// unreached is about registries that could not be spoken to.
func (x explainer) unreached(err error) string {
	host := x.repo.RegistryStr()
	var (
		dns     *net.DNSError
		record  tls.RecordHeaderError
		plain   *plainError
		network net.Error
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("there is no registry named %s (its name is not in the DNS): check the spelling of %s", host, x.repo)
	case errors.As(err, &dns):
		return fmt.Sprintf("the name of the registry %s could not be looked up: try again later, or tell the operator that the DNS does not answer", host)
	case errors.As(err, &plain), errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Sprintf("the registry %s does not speak HTTPS: if plain HTTP is meant, the operator lists it under registry.insecure", host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("no registry answers at %s (connection refused): check the name and the port, or start it", host)
	case errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("the registry %s does not answer in time: try again later", host)
	case errors.As(err, &network), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return fmt.Sprintf("the connection to the registry %s broke: try again later", host)
	}
	return ""
}

// quote is the registry's own message in brackets, short, in one line and
// without the login, or "".
func (x explainer) quote(err error) string {
	var answer *transport.Error
	if !errors.As(err, &answer) || len(answer.Errors) == 0 {
		return ""
	}
	said := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, x.hide(answer.Errors[0].Message))
	said = strings.TrimRight(strings.TrimSpace(said), ".")
	if said == "" {
		return ""
	}
	if r := []rune(said); len(r) > maxQuote {
		said = string(r[:maxQuote]) + "…"
	}
	return " (" + said + ")"
}

func status(err error) int {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// redacted is an error whose text does not hold the login, whatever the
// registry echoed.
type redacted struct {
	error
	text string
}

func (e *redacted) Error() string { return e.text }
func (e *redacted) Unwrap() error { return e.error }

func (x explainer) redact(err error) error {
	text := err.Error()
	if clean := x.hide(text); clean != text {
		return &redacted{err, clean}
	}
	return err
}

func (x explainer) hide(text string) string {
	if x.login.Password == "" {
		return text
	}
	basic := base64.StdEncoding.EncodeToString([]byte(x.login.Username + ":" + x.login.Password))
	return strings.NewReplacer(x.login.Password, "***", basic, "***").Replace(text)
}
