package builder

// CommandSource is where a command came from.
type CommandSource string

const (
	FromComment CommandSource = "comment"
	FromButton  CommandSource = "button" // of a check run
	FromRerun   CommandSource = "rerun"  // the forge's own "run again"
)

// CommandName names a command; handlers/command.go tells people how each is
// written.
type CommandName string

const (
	CommandBuild     CommandName = "build"
	CommandRebuild   CommandName = "rebuild"
	CommandCancel    CommandName = "cancel"
	CommandOkToBuild CommandName = "ok-to-build"
	CommandPromote   CommandName = "promote"
	CommandPause     CommandName = "pause"
	CommandResume    CommandName = "resume"
	CommandStatus    CommandName = "status"
	CommandWhy       CommandName = "why"
	CommandHelp      CommandName = "help"
)

// Command is what somebody asks for, on a pull request (Pull) or on a commit
// (the event's Commit). Who asks is the event's Actor.
type Command struct {
	Source CommandSource `json:"source"`
	Name   CommandName   `json:"name,omitempty"`
	Text   string        `json:"text,omitempty"` // the line as it was written, for the answer

	Image   string `json:"image,omitempty"`   // "": all of them
	Ref     string `json:"ref,omitempty"`     // build --ref
	Commit  string `json:"commit,omitempty"`  // ok-to-build
	Tag     string `json:"tag,omitempty"`     // promote
	NoCache bool   `json:"noCache,omitempty"` // build, rebuild
	Invalid string `json:"invalid,omitempty"` // why it cannot be understood: then that is the answer

	Pull    int    `json:"pull,omitempty"`    // number; 0: on a commit
	Comment string `json:"comment,omitempty"` // the forge's id of the comment, for the reaction
	BuildID string `json:"buildId,omitempty"` // the build whose button was pressed or that is to run again

	// Body is the comment as it came. The intake reads the command from it
	// and drops it.
	Body string `json:"-"`
}

// Permission is what a person may do in a repository.
type Permission int

const (
	PermissionNone Permission = iota
	PermissionRead
	PermissionWrite
	PermissionAdmin
)

// Needs is what the person who writes the command must be allowed.
func (n CommandName) Needs() Permission {
	switch n {
	case CommandStatus, CommandWhy, CommandHelp:
		return PermissionRead
	}
	return PermissionWrite
}

// Answer is what a command came to, in Markdown, for whoever wrote it.
type Answer struct {
	Text    string `json:"text"`
	Refused bool   `json:"refused,omitempty"`
}
