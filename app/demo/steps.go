package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/registry-build/registry-build/handlers"
)

// push pushes main and watches the build in the push's own output.
func (d *demo) push() error {
	fmt.Printf("$ git push %s main\n", d.Remote(repository))
	began := time.Now()
	out, err := d.git(os.Stdout, "push", "origin", "main")
	if err != nil {
		return err
	}
	if err := expect(out, "queued", "RUN sed", "printed it is ***", "hello:latest", "hello:main-", "sha256:"); err != nil {
		return err
	}
	if strings.Contains(out, buildSecret) {
		return errors.New("the build's secret is in the output")
	}
	d.digest = digestOf(out)
	d.note("push to image", "%s, %s", since(began), d.digest)
	return nil
}

// pull reads the image back from the registry, as docker pull does.
func (d *demo) pull() error {
	repo, err := name.NewRepository(d.Host() + "/" + repository)
	if err != nil {
		return err
	}
	login := remote.WithAuth(&authn.Basic{Username: "owner", Password: d.Token})
	image, err := remote.Image(repo.Tag("latest"), login, remote.WithContext(d.ctx))
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	if digest.String() != d.digest {
		return fmt.Errorf("latest is %s, the push said %s", digest, d.digest)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	fmt.Printf("%s\n  platform  %s/%s\n  command   %s\n  folder    %s\n", repo.Tag("latest"), config.OS, config.Architecture,
		strings.Join(config.Config.Cmd, " "), config.Config.WorkingDir)
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return err
		}
		size, err := layer.Size()
		if err != nil {
			return err
		}
		blob, err := layer.Compressed()
		if err != nil {
			return err
		}
		blob.Close()
		fmt.Printf("  layer     %s %7d bytes\n", digest, size)
	}
	tags, err := remote.List(repo, login, remote.WithContext(d.ctx))
	if err != nil {
		return err
	}
	fmt.Printf("  tags      %s\n", strings.Join(tags, ", "))
	d.note("image", "%d layers, tags %s", len(layers), strings.Join(tags, ", "))
	return expect(strings.Join(tags, " "), "latest", "main-")
}

// release pushes a tag of the commit that was built.
func (d *demo) release() error {
	if _, err := d.git(os.Stdout, "tag", "v1.0.0"); err != nil {
		return err
	}
	fmt.Println("$ git push origin v1.0.0")
	out, err := d.git(os.Stdout, "push", "origin", "v1.0.0")
	if err != nil {
		return err
	}
	if err := expect(out, "nothing to build", "hello:v1.0.0", d.digest, "without a build"); err != nil {
		return err
	}
	d.note("release tag", "%s, no build", promoted.FindStringSubmatch(out)[1])
	return nil
}

var promoted = regexp.MustCompile(`promoted in (\S+),`)

// fail pushes a commit whose Dockerfile does not build. The push itself
// succeeds: the commit is accepted, its image is not made.
func (d *demo) fail() error {
	if err := d.edit("Dockerfile", `grep -q "version $VERSION"`, `grep -q "no such text"`); err != nil {
		return err
	}
	if out, err := d.git(os.Stdout, "commit", "-q", "-a", "-m", "Look for a text that is not there"); err != nil {
		return fmt.Errorf("git commit: %w\n%s", err, out)
	}
	fmt.Println("$ git push origin main")
	out, err := d.git(os.Stdout, "push", "origin", "main")
	if err != nil {
		return err
	}
	if err := expect(out, "failed: Dockerfile:12", ">>> 12", "COPY site/ .", "last output", "Hello from registry-build"); err != nil {
		return err
	}
	d.note("broken commit", "failed at Dockerfile:12; latest still names the digest above")
	return nil
}

// trigger shows what the receiver got, and the record of it.
func (d *demo) trigger() error {
	var first delivery
	for _, want := range []string{"latest", "v1.0.0"} {
		select {
		case got := <-d.hooks:
			if first.id == "" {
				first = got
			}
			if !got.valid || got.event != "pushed" {
				return fmt.Errorf("delivery %s: event %q, signature valid: %t", got.id, got.event, got.valid)
			}
			if err := expect(string(got.body), want, d.digest); err != nil {
				return err
			}
		case <-time.After(hookLimit):
			return fmt.Errorf("no webhook for %s in %s", want, hookLimit)
		}
	}
	fmt.Printf("received, signature checked: %s\n%s\n", first.id, first.body)

	var list handlers.BuildList
	out, err := d.cli("builds", "--json", "--state", "succeeded")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Builds) == 0 {
		return fmt.Errorf("no build that succeeded is listed: %v\n%s", err, out)
	}
	record, err := d.cli("triggers", list.Builds[0].ID)
	if err != nil {
		return err
	}
	fmt.Printf("$ registry-build triggers %s\n%s", list.Builds[0].ID, record)
	d.note("webhook", "2 deliveries, signed")
	return expect(record, "audit", "succeeded")
}

// pushByHand pushes an image as docker push does; nothing is built.
func (d *demo) pushByHand() error {
	image, err := random.Image(1024, 1)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	tag, err := name.NewTag(d.Host() + "/" + repository + ":v1.0.1")
	if err != nil {
		return err
	}
	fmt.Printf("$ docker push %s\n", tag)
	began := time.Now()
	if err := remote.Write(tag, image, remote.WithAuth(&authn.Basic{Username: "owner", Password: d.Token}), remote.WithContext(d.ctx)); err != nil {
		return err
	}
	select {
	case got := <-d.hooks:
		if !got.valid {
			return fmt.Errorf("delivery %s: the signature is not valid", got.id)
		}
		fmt.Printf("received, signature checked: %s\n%s\n", got.id, got.body)
		d.note("push by hand", "told after %s", since(began))
		return expect(string(got.body), "v1.0.1", digest.String(), `"state":"pushed"`)
	case <-time.After(hookLimit):
		return fmt.Errorf("no webhook for %s in %s", tag, hookLimit)
	}
}

// cli runs the program as a client of the running server.
func (d *demo) cli(args ...string) (string, error) {
	cmd := exec.CommandContext(d.ctx, d.program, append(args, "--data", d.path("data"))...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return string(out), err
}

func (d *demo) note(what, format string, args ...any) {
	d.summary = append(d.summary, fmt.Sprintf("%-14s "+format, append([]any{what}, args...)...))
}

// expect fails when the output does not hold what the demonstration promises.
func expect(output string, texts ...string) error {
	for _, text := range texts {
		if !strings.Contains(output, text) {
			return fmt.Errorf("the output has no %q", text)
		}
	}
	return nil
}

var digest = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// digestOf is the last digest that the output names: the image's.
func digestOf(output string) string {
	all := digest.FindAllString(output, -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

func since(t time.Time) time.Duration { return time.Since(t).Round(10 * time.Millisecond) }
