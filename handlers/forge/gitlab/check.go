package gitlab

import (
	"context"
	"time"
)

// Account is who we are at a GitLab server, and what our token may do.
type Account struct {
	ID        int
	Username  string
	Name      string
	Bot       bool      // of a project or group access token
	Scopes    []string  // of the token; nil where the server does not tell
	ExpiresAt time.Time // the token's last moment; zero: never, or unknown
	Version   string    // the server's, such as "17.5.1-ee"; "" where it does not tell
	Warning   string    // what is to be mended soon: the token expires
}

// Unusable is the error of a server that will not work as it is configured,
// however often it is tried: its token or its address is wrong.
type Unusable struct {
	Message string // what is wrong
	Mend    string // what to do
	Err     error  // the cause, nil where there is none
}

func (u *Unusable) Error() string { return u.Message }

func (u *Unusable) Unwrap() error { return u.Err }

// Check asks the server who we are there and what the token may do. Its error
// is an *Unusable when the token or the address cannot be used and trying again
// would not help, a builder.Later for a limit, and any other when the server is
// away. What expires soon is no error but the Account's Warning.
func (f *Forge) Check(ctx context.Context) (Account, error) { return Account{}, errLater }
