package builder

import (
	"errors"
	"fmt"
)

// Sentinels that callers branch on.
var (
	ErrNotFound    = errors.New("not found")
	ErrLeaseLost   = errors.New("lease lost: another worker holds the build")
	ErrUnavailable = errors.New("store unavailable")
	ErrState       = errors.New("not possible in this state")
	ErrDenied      = errors.New("the forge does not let us") // trying again does not help
)

// Stage names where a build failed.
type Stage string

const (
	StageConfig   Stage = "config"
	StageSource   Stage = "source"
	StageBuild    Stage = "build"
	StagePush     Stage = "push"
	StageTag      Stage = "tag"
	StageInternal Stage = "internal"
)

// Failure carries two texts apart: Message is for the person who pushed (what
// happened, where, what to do), Err is for the operator's log and is never
// stored or shown.
type Failure struct {
	Stage   Stage  `json:"stage"`
	Message string `json:"message"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // from 1
	EndLine int    `json:"endLine,omitempty"`
	Excerpt string `json:"excerpt,omitempty"` // the failing lines with their neighbours
	Output  string `json:"output,omitempty"`  // the failing step's last output
	Err     error  `json:"-"`
}

func (f *Failure) Error() string {
	if f.Err == nil {
		return fmt.Sprintf("%s: %s", f.Stage, f.Message)
	}
	return fmt.Sprintf("%s: %s: %v", f.Stage, f.Message, f.Err)
}

func (f *Failure) Unwrap() error { return f.Err }
