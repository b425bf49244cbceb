package builder

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/distribution/reference"

	"github.com/registry-build/registry-build/config"
)

// target is what an image may reach: decided by the ref's authority and the
// operator's policy, whatever the commit says.
type target struct {
	repository string
	triggers   []config.Trigger
	secrets    []config.Secret
	ssh        []config.SSH
	warnings   []string
}

// place is where an image goes, and the entry of the file that says so.
type place struct {
	authority  config.Image
	repository string
}

// images are the file's images with their names; the only image of a file may
// leave its name to the repository, lower-cased like every name of an image.
func (p *planner) images(f *config.BuildFile) []config.Image {
	images := slices.Clone(f.Images)
	for i := range images {
		if images[i].Name == "" {
			images[i].Name = strings.ToLower(p.Event.Repository.Name)
		}
	}
	return images
}

// place decides where an image is pushed. Where the ref has no authority that
// comes from the default branch's file, found by the image's name: nobody
// deploys by editing the file on a feature branch. An image that only the
// feature branch has gets the default repository, and an entry that has
// nothing else. refusal is a sentence for the pusher.
func (p *planner) place(img config.Image) (pl place, refusal string) {
	several := len(p.File.Images) > 1
	pl.authority = img
	if p.Trusted != nil {
		pl.authority = config.Image{Name: img.Name}
		trusted := p.images(p.Trusted)
		for _, other := range trusted {
			if other.Name == img.Name {
				pl.authority, several = other, len(trusted) > 1
			}
		}
	}
	var err error
	if pl.repository, err = p.repository(pl.authority, several); err != nil {
		return pl, err.Error()
	}
	return pl, p.mayPush(img.Name, pl.repository)
}

// target decides what an image may reach: where it goes, and the triggers and
// secrets that its place's entry has. The operator's triggers follow. A fork
// gets none of these.
func (p *planner) target(img config.Image) (t target, refusal string) {
	pl, refusal := p.place(img)
	t.repository = pl.repository
	if refusal != "" {
		return t, refusal
	}
	if p.fork() {
		if len(img.Secrets)+len(img.SSH) > 0 {
			t.warnings = append(t.warnings, "a fork's build gets no secrets")
		}
		return t, ""
	}
	t.triggers, t.secrets, t.ssh = pl.authority.Triggers, pl.authority.Secrets, pl.authority.SSH
	if refusal = p.tooMany(img.Name, pl); refusal != "" {
		return t, refusal
	}
	if refusal = p.mayUse(img.Name, t.secrets, t.ssh); refusal != "" {
		return t, refusal
	}
	t.warnings = append(t.warnings, p.otherwise(img, pl)...)
	t.warnings = append(t.warnings, p.willFail(t.triggers)...)
	t.triggers = append(t.triggers[:len(t.triggers):len(t.triggers)], operatorTriggersFor(p.Operators, t.repository)...)
	return t, ""
}

// otherwise tells what the commit's file says of an image in vain.
func (p *planner) otherwise(img config.Image, pl place) (warnings []string) {
	if img.Repository != "" && qualify(p.Registry, img.Repository) != pl.repository {
		warnings = append(warnings, fmt.Sprintf(
			"repository %s of image %s is not used: for %s it is read from the file of %s, and this goes to %s",
			img.Repository, img.Name, p.subject, p.authorityName(), pl.repository))
	}
	for _, s := range []struct{ key, wants, gets string }{
		{"secrets", describeSecrets(img.Secrets), describeSecrets(pl.authority.Secrets)},
		{"ssh", describeSSH(img.SSH), describeSSH(pl.authority.SSH)},
	} {
		if s.wants != s.gets {
			warnings = append(warnings, fmt.Sprintf("%s of image %s are not used as they stand here (%s): for %s they are read from the file of %s, which gives %s",
				s.key, img.Name, orText(s.wants, "none"), p.subject, p.authorityName(), orText(s.gets, "none")))
		}
	}
	return warnings
}

func (p *planner) authorityName() string {
	if p.Event.Repository.DefaultBranch == "" {
		return "the default branch"
	}
	return "branch " + p.Event.Repository.DefaultBranch
}

// repository is the image repository that an entry of the file names, or its
// default: <registry>/<owner>/<repo>, and /<image> below it where the file has
// several.
func (p *planner) repository(img config.Image, several bool) (string, error) {
	if img.Repository != "" {
		name := qualify(p.Registry, img.Repository)
		return name, checkRepository(name)
	}
	name, err := p.root()
	if several {
		name += "/" + strings.ToLower(img.Name)
	}
	if err == nil {
		err = checkRepository(name)
	}
	if err != nil {
		return "", fmt.Errorf("default image repository: %w; name another with repository: in %s, and have the operator's policy allow it", err, buildFileName)
	}
	return name, nil
}

// root is where everything of the source repository may go. Names of image
// repositories are lower case.
func (p *planner) root() (string, error) {
	name, err := p.Home.path(p.Event.Repository)
	if err != nil {
		return "", err
	}
	if p.Registry != "" {
		return p.Registry + "/" + name, nil
	}
	// A name of the embedded registry has no host. Were this one taken for a
	// name with a host, an owner called like a registry would push there.
	if hasHost(name) {
		return "", fmt.Errorf("%q would be taken for a name in the registry %s", name, firstElement(name))
	}
	return name, nil
}

// mayPush holds a destination against the policy. It returns the refusal.
func (p *planner) mayPush(image, destination string) string {
	repository := strings.TrimPrefix(p.Event.Repository.FullName(), "/")
	names := p.names()
	var allowed []string
	if root, err := p.root(); err == nil {
		if destination == root || strings.HasPrefix(destination, root+"/") {
			return ""
		}
		allowed = append(allowed, root+" and below")
	}
	more, ok := allowedBy(p.Policy, names, destination)
	if ok {
		return ""
	}
	allowed = append(allowed, more...)
	return fmt.Sprintf("image %s may not be pushed to %s: %s may push to %s; the operator widens that with policy: in the server file",
		image, destination, repository, orText(strings.Join(allowed, ", "), "nothing"))
}

// allowedBy holds a destination against the operator's policy, and returns
// what it allows to the repository that has these names.
func allowedBy(policy []config.Policy, names []string, destination string) (images []string, ok bool) {
	for _, entry := range policy {
		if !speaksOf(entry, names) {
			continue
		}
		if config.MatchAny(entry.Images, destination) {
			return nil, true
		}
		images = append(images, entry.Images...)
	}
	return images, false
}

// qualify puts a name without a host into the default registry.
func qualify(registry, name string) string {
	if registry == "" || hasHost(name) {
		return name
	}
	return registry + "/" + name
}

// hasHost tells a registry's host by the rule that Docker made: the first of
// several elements with a dot or a port in it, or localhost.
func hasHost(name string) bool {
	first := firstElement(name)
	return first != name && (strings.ContainsAny(first, ".:") || first == "localhost")
}

func firstElement(name string) string {
	first, _, _ := strings.Cut(name, "/")
	return first
}

func checkRepository(name string) error {
	if lower := strings.ToLower(name); lower != name {
		return fmt.Errorf("image repository %q has capital letters; write %q", name, lower)
	}
	if _, err := reference.WithName(name); err != nil {
		return fmt.Errorf("%q cannot name an image repository: small letters and digits, with single . _ - or / between them, and no tag",
			clip(name, 100))
	}
	return nil
}

func unknownImage(name string, images []config.Image) string {
	var names []string
	best, distance := "", 3
	for _, img := range images {
		names = append(names, img.Name)
		if d := levenshtein.Distance(name, img.Name, nil); d < distance && d < len(img.Name) {
			best, distance = img.Name, d
		}
	}
	text := fmt.Sprintf("no image %q in %s", clip(name, 60), buildFileName)
	if best != "" {
		return text + fmt.Sprintf("; did you mean %q?", best)
	}
	return text + "; it has " + strings.Join(names, ", ")
}

// planUpload decides a Dockerfile that was sent without a repository: one
// build, with the tags as they are given. Whether the sender may push to that
// name at all is a matter of the sender's token, which the API has checked;
// here an upload is kept within the default registry and the policy.
func planUpload(in PlanInput, d *Decision) {
	e := in.Event
	fail := func(format string, args ...any) {
		d.Failure = &Failure{Stage: StageConfig, Message: fmt.Sprintf(format, args...)}
	}
	name := qualify(in.Registry, e.Request.Repository)
	if name == "" {
		fail("an uploaded Dockerfile needs the image repository that it is pushed to")
		return
	}
	if err := checkRepository(name); err != nil {
		fail("%s", err)
		return
	}
	inDefault := in.Registry == "" && !hasHost(name) || in.Registry != "" && strings.HasPrefix(name, in.Registry+"/")
	if _, ok := allowedBy(in.Policy, []string{""}, name); !inDefault && !ok {
		fail("an uploaded Dockerfile may not be pushed to %s: only to %s; the operator widens that with policy: in the server file",
			name, orText(in.Registry, "the embedded registry, without a host"))
		return
	}
	var tags []string
	for _, tag := range e.Request.Tags {
		if !ValidTag(tag) {
			fail("%s", noTag(tag))
			return
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	image := orText(e.Request.Image, path.Base(name))
	d.Builds = []Build{{
		ID: BuildID(e, image, ""), EventID: e.ID, EventKind: e.Kind, Repository: e.Repository,
		Image: image, Lane: TrustedLane, Priority: PriorityCommand, Actor: e.Actor,
		Spec: Spec{Context: ".", Dockerfile: "Dockerfile", Inline: e.Request.Dockerfile, NoCache: e.Request.NoCache},

		Destination: name, Tags: tags, Triggers: operatorTriggersFor(in.Operators, name), Seq: e.Seq, AcceptedAt: e.AcceptedAt,
	}}
}
