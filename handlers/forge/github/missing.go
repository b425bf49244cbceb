package github

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/registry-build/registry-build/builder"
)

// notAccessible is what GitHub says when a token lacks the permission for a
// call, in lower case.
const notAccessible = "resource not accessible by integration"

// suspended is in what GitHub says while somebody keeps the app out for now.
const suspended = "installation has been suspended"

// saidFor is how long one missing permission is not mentioned again.
const saidFor = 30 * 24 * time.Hour

// missingPermission is a call that the installation does not allow, because
// nobody has accepted a permission that the app asks for. Whoever makes the
// call goes on without it; the operator's log has been told.
type missingPermission struct {
	permission   string // as GitHub names it: "checks: write"; several with commas between
	installation int64
}

func (m missingPermission) Error() string {
	return fmt.Sprintf("installation %d does not grant the app %q", m.installation, m.permission)
}

// Is makes it builder.ErrDenied for whoever asks through the domain's doors.
func (m missingPermission) Is(target error) bool { return target == builder.ErrDenied }

var permissionLevels = []string{"", "read", "write", "admin"}

// missing finds out which of the permissions the installation does not grant.
func (x *access) missing(ctx context.Context, installation int64, n need) error {
	lacking := need{}
	page := ""
	if found, _, err := x.client.Apps.GetInstallation(ctx, installation); err == nil {
		page = found.GetHTMLURL()
		have := grantedBy(found.GetPermissions())
		for name, level := range n {
			if slices.Index(permissionLevels, have[name]) < slices.Index(permissionLevels, level) {
				lacking[name] = level
			}
		}
	}
	if len(lacking) == 0 {
		lacking = maps.Clone(n)
	}
	return x.say(ctx, installation, lacking.String(), page)
}

// grantedBy is an installation's permissions by GitHub's names for them.
func grantedBy(p *github.InstallationPermissions) map[string]string {
	text, err := json.Marshal(p)
	if err != nil {
		return nil
	}
	have := map[string]string{}
	if json.Unmarshal(text, &have) != nil {
		return nil
	}
	return have
}

// notGranted is missing for a call whose answer says what it would have
// taken: "checks=write; statuses=write".
func (x *access) notGranted(ctx context.Context, installation int64, accepted string, n need) error {
	permission := strings.ReplaceAll(strings.ReplaceAll(accepted, "=", ": "), "; ", " or ")
	if permission == "" {
		permission = n.String()
	}
	return x.say(ctx, installation, permission, "")
}

// say tells the operator once for each installation and permission, whichever
// process finds it.
func (x *access) say(ctx context.Context, installation int64, permission, page string) error {
	m := missingPermission{permission: permission, installation: installation}
	key := "github:missing:" + strconv.FormatInt(installation, 10) + ":" + permission
	first, err := x.app.Memory.Claim(ctx, key, x.app.Now().UTC().Format(time.RFC3339), saidFor)
	if err != nil || !first {
		return m
	}
	if page == "" { // the address is another one for organisations
		if found, _, err := x.client.Apps.GetInstallation(ctx, installation); err == nil {
			page = found.GetHTMLURL()
		}
	}
	if page == "" {
		page = fmt.Sprintf("%s/settings/installations/%d", x.app.Config.URL, installation)
	}
	x.app.Log.Warn("a permission is missing", "installation", installation, "permission", permission,
		"mend", "an owner of the account accepts the app's permissions at "+page)
	return m
}
