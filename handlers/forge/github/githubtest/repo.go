package githubtest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// Repo is a repository of the double, whatever it is called now.
type Repo struct {
	s             *Server
	id            int64
	owner         *account
	name          string
	private       bool
	fork          *Repo // what this is a fork of
	defaultBranch string
	dir           gitserver.Repo
	created       time.Time
	pushed        time.Time
	collaborators map[string]string // lower-cased login: admin, maintain, write, triage, read
	protected     map[string]bool   // branch
	commits       map[string]gitserver.Commit
	pushing       sync.Mutex // one push after another; taken before the server's lock

	number      int // of the last pull request or issue
	pulls       []*pull
	comments    []*comment
	suites      []*suite
	checks      []*check
	statuses    []*status
	deployments []*deployment
}

// RepoOptions say how a repository begins.
type RepoOptions struct {
	Private       bool
	DefaultBranch string // default main
	// Files make the first commit; nil leaves the repository empty. No webhook
	// tells of it.
	Files map[string]string
}

// AddRepo makes a repository of a full name. An owner who is not there yet
// becomes an organisation.
func (s *Server) AddRepo(fullName string, o RepoOptions) (*Repo, error) {
	if o.DefaultBranch == "" {
		o.DefaultBranch = "main"
	}
	s.mu.Lock()
	defer s.unlock()
	r, err := s.newRepo(fullName, o)
	if err != nil {
		return nil, err
	}
	if err := r.dir.Init(o.DefaultBranch, hiddenRefs); err != nil {
		return nil, fmt.Errorf("repository %s: %w", fullName, err)
	}
	if o.Files != nil {
		sha, err := r.dir.Commit("", "Initial commit", contents(o.Files), who(s.user(""), s.now().Unix()))
		if err == nil {
			_, err = r.dir.Run("update-ref", "refs/heads/"+o.DefaultBranch, sha)
		}
		if err != nil {
			return nil, fmt.Errorf("first commit of %s: %w", fullName, err)
		}
	}
	return r, nil
}

func (s *Server) newRepo(fullName string, o RepoOptions) (*Repo, error) {
	login, name, found := strings.Cut(fullName, "/")
	if !found || name == "" || strings.ContainsAny(name, "/ ") {
		return nil, fmt.Errorf("repository %q: write OWNER/NAME", fullName)
	}
	key := strings.ToLower(fullName)
	if old := s.repos[s.names[key]]; old != nil && strings.EqualFold(old.fullName(), fullName) {
		return nil, fmt.Errorf("repository %s: name already exists on this account", fullName)
	}
	r := &Repo{
		s: s, id: s.id(), owner: s.account(login, true), name: name, private: o.Private, defaultBranch: o.DefaultBranch,
		created: s.now(), pushed: s.now(), collaborators: map[string]string{}, protected: map[string]bool{}, commits: map[string]gitserver.Commit{},
	}
	r.dir = gitserver.Repo(filepath.Join(s.opts.Dir, fmt.Sprintf("%d.git", r.id)))
	s.repos[r.id], s.names[key] = r, r.id // who takes an old name ends its redirect
	return r, nil
}

// Repo finds a repository by its full name now.
func (s *Server) Repo(fullName string) (*Repo, error) {
	s.mu.Lock()
	defer s.unlock()
	return s.repo(fullName)
}

func (s *Server) repo(fullName string) (*Repo, error) {
	r := s.repos[s.names[strings.ToLower(fullName)]]
	if r == nil || !strings.EqualFold(r.fullName(), fullName) {
		return nil, fmt.Errorf("there is no repository %s", fullName)
	}
	return r, nil
}

// Fork makes a fork in a person's account, with all refs but pull requests.
func (r *Repo) Fork(login string) (*Repo, error) {
	s := r.s
	s.mu.Lock()
	defer s.unlock()
	s.account(login, false)
	f, err := s.newRepo(login+"/"+r.name, RepoOptions{Private: r.private, DefaultBranch: r.defaultBranch})
	if err != nil {
		return nil, err
	}
	f.fork = r
	if err := f.dir.Init(r.defaultBranch, hiddenRefs); err != nil {
		return nil, err
	}
	_, err = f.dir.Run("fetch", "-q", string(r.dir), "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
	return f, err
}

// ID is GitHub's number, which outlives every name.
func (r *Repo) ID() int64 { return r.id }

// FullName is OWNER/NAME now.
func (r *Repo) FullName() string {
	r.s.mu.Lock()
	defer r.s.unlock()
	return r.fullName()
}

func (r *Repo) fullName() string { return r.owner.login + "/" + r.name }

// CloneURL is the git remote, without credentials.
func (r *Repo) CloneURL() string { return r.s.URL + "/" + r.FullName() + ".git" }

// PushURL is the git remote with a person's name and access token in it.
func (r *Repo) PushURL(login string) string {
	return strings.Replace(r.CloneURL(), "http://", "http://"+login+":"+r.s.AddUser(login)+"@", 1)
}

// Dir is the bare repository on disk.
func (r *Repo) Dir() string { return string(r.dir) }

// SetCollaborator gives a person admin, maintain, write, triage or read; ""
// takes it away.
func (r *Repo) SetCollaborator(login, permission string) {
	r.s.mu.Lock()
	defer r.s.unlock()
	r.s.user(login)
	r.collaborators[strings.ToLower(login)] = permission
}

// Protect switches the protection of a branch.
func (r *Repo) Protect(branch string, on bool) {
	r.s.mu.Lock()
	defer r.s.unlock()
	r.protected[branch] = on
}

// SetPrivate changes who sees the repository.
func (r *Repo) SetPrivate(private bool) {
	r.s.mu.Lock()
	defer r.s.unlock()
	if r.private == private {
		return
	}
	r.private = private
	action := "publicized"
	if private {
		action = "privatized"
	}
	r.s.emit(r, "repository", r.s.user(""), object{"action": action})
}

// SetDefaultBranch changes the default branch.
func (r *Repo) SetDefaultBranch(branch string) error {
	r.s.mu.Lock()
	defer r.s.unlock()
	old := r.defaultBranch
	r.defaultBranch = branch
	_, err := r.dir.Run("symbolic-ref", "HEAD", "refs/heads/"+branch)
	r.s.emit(r, "repository", r.s.user(""), object{"action": "edited", "changes": object{"default_branch": object{"from": old}}})
	return err
}

// Rename gives the repository another name; the old one redirects until
// somebody takes it.
func (r *Repo) Rename(name string) error {
	s := r.s
	s.mu.Lock()
	defer s.unlock()
	old := r.name
	if err := r.move(r.owner, name); err != nil {
		return err
	}
	s.emit(r, "repository", s.user(""), object{"action": "renamed", "changes": object{"repository": object{"name": object{"from": old}}}})
	return nil
}

// Transfer gives the repository to another account; the old name redirects.
func (r *Repo) Transfer(login string) error {
	s := r.s
	s.mu.Lock()
	defer s.unlock()
	old := r.owner
	if err := r.move(s.account(login, true), r.name); err != nil {
		return err
	}
	for _, app := range s.apps {
		for _, i := range app.installs {
			if i.account == old {
				i.repos = slices.DeleteFunc(i.repos, func(id int64) bool { return id == r.id })
			}
		}
	}
	kind := "user"
	if old.org {
		kind = "organization"
	}
	s.emit(r, "repository", s.user(""), object{"action": "transferred", "changes": object{"owner": object{"from": object{kind: s.userJSON(old)}}}})
	return nil
}

func (r *Repo) move(owner *account, name string) error {
	key := strings.ToLower(owner.login + "/" + name)
	if other := r.s.repos[r.s.names[key]]; other != nil && other != r && strings.EqualFold(other.fullName(), key) {
		return fmt.Errorf("rename %s: %s exists", r.fullName(), key)
	}
	r.owner, r.name = owner, name
	r.s.names[key] = r.id
	return nil
}

// Delete deletes the repository.
func (r *Repo) Delete() {
	s := r.s
	s.mu.Lock()
	defer s.unlock()
	s.emit(r, "repository", s.user(""), object{"action": "deleted"})
	delete(s.repos, r.id)
}

// explicit is a person's right that does not come from the repository being public.
func (r *Repo) explicit(a *account) string {
	if a == r.owner {
		return "admin"
	}
	if p := r.collaborators[strings.ToLower(a.login)]; p != "" {
		return p
	}
	return "none"
}

func (r *Repo) permission(a *account) string {
	if p := r.explicit(a); p != "none" || r.private {
		return p
	}
	return "read"
}

func canWrite(permission string) bool {
	return slices.Contains([]string{"admin", "maintain", "write"}, permission)
}

// contents turns what a person writes into what git is given: every file is there.
func contents(files map[string]string) map[string]*string {
	out := map[string]*string{}
	for path, text := range files {
		out[path] = &text
	}
	return out
}

// hiddenRefs are GitHub's own: pushes cannot move them.
const hiddenRefs = "refs/pull"

// who is the identity that git records.
func who(a *account, at int64) []string { return gitserver.Who(a.login, a.email(), at) }
