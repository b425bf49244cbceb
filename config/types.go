package config

// BuildFile is one .registry-build.yml, checked and with its defaults filled
// in, except those that only an event can give (names and repositories).
type BuildFile struct {
	Images    []Image // at least one
	Automatic bool    // false: only commands, the API and the console build
	Timezone  string  // IANA name for times in tags; "" takes the server's
}

// Image is one entry of images.
type Image struct {
	Name       string   // "" until an event names the repository; never "" where there are several images
	Repository string   // [host[:port]/]path; "" takes the policy's default
	Context    string   // slash-separated, clean, relative to the repository root; "." is the root
	Dockerfile string   // relative to the repository root, clean
	Target     string   // "" is the Dockerfile's last stage
	Platforms  []string // in normal form; empty: the builder's own
	Args       []Arg
	Cache      bool
	Paths      Paths // of which one must have changed; empty: any file
	Match      Match
	Rules      []Rule // never empty: every branch and every tag where none are written
	Triggers   []Trigger
	Pos        Position
}

// Arg is one build argument. Order is the file's: an argument may use those
// before it.
type Arg struct {
	Name  string
	Value Template
	Pos   Position
}

// Match says how many of an image's rules may build for one event.
type Match string

const (
	MatchFirst Match = "first"
	MatchAll   Match = "all"
)

// Rule says which events build an image, and what differs for them. Exactly
// one of Branch, Tag, Ref and PullRequest is set. A nil or empty override
// takes the image's value.
type Rule struct {
	Branch      *Pattern // over the short name
	Tag         *Pattern // over the short name
	Ref         *Pattern // over the whole ref
	PullRequest bool

	Tags       []Template // empty: ${refName}-${commit}, and no tag for a pull request
	Args       []Arg      // over the image's: see MergeArgs
	Platforms  []string
	Target     *string
	Context    *string
	Dockerfile *string
	Cache      *bool
	Automatic  *bool
	Pos        Position // of the image, for a rule that was not written
}

// Trigger is what happens after an image's tags were put.
type Trigger struct {
	Name    string      `json:"name"`
	Tags    TagSelector `json:"tags"`
	On      []Outcome   `json:"on"` // never empty
	Webhook *Webhook    `json:"webhook,omitempty"`
	// Environment is what the trigger rolls out to, where the forge shows
	// deployments; "" shows none.
	Environment string   `json:"environment,omitempty"`
	Pos         Position `json:"-"`
}

// Outcome is what a trigger listens for.
type Outcome string

const (
	OnPushed    Outcome = "pushed"
	OnFailed    Outcome = "failed"
	OnRecovered Outcome = "recovered"
)

// Webhook is an HTTP POST of the build, signed with a signing secret.
type Webhook struct {
	URL        string `json:"url"`
	Credential string `json:"credential,omitempty"`
}

// Position is a place in a file, both counted from 1, columns in characters.
type Position struct {
	Line int `json:"line"`
	Col  int `json:"col"`
}
