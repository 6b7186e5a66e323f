package process

import (
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"

	"ataraxis.dev/landfall/shared/fault"
)

// Owner is the user a file belongs to. Name and Home are empty when the system has no
// account of that number, as inside containers.
type Owner struct {
	UID, GID uint32 // GID is the account's primary group, else the file's group
	Name     string
	Home     string
	Groups   []uint32 // every group of the account, GID included
}

// LookupOwner finds the owner of path. The error is NotFound (NO_SUCH_PATH) or Failed;
// an owner without an account is not an error.
func LookupOwner(path string) (*Owner, error) {
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return nil, fault.Wrap(err, fault.NotFound, "NO_SUCH_PATH", "the owner of %s is unknown", path)
	case err != nil:
		return nil, fault.Wrap(err, fault.Failed, "OWNER_UNKNOWN", "the owner of %s is unknown", path)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fault.New(fault.Internal, "OWNER_UNKNOWN", "this system does not tell who owns %s", path)
	}
	owner := &Owner{UID: stat.Uid, GID: stat.Gid, Groups: []uint32{stat.Gid}}
	account, err := user.LookupId(strconv.FormatUint(uint64(stat.Uid), 10))
	if err != nil {
		return owner, nil //nolint:nilerr // no account: the numbers are all there is
	}
	owner.Name, owner.Home = account.Username, account.HomeDir
	if gid, err := strconv.ParseUint(account.Gid, 10, 32); err == nil {
		owner.GID = uint32(gid)
	}
	owner.Groups = groupsOf(account, owner.GID)
	return owner, nil
}

// groupsOf lists the account's groups; an unreadable group file leaves the primary one.
func groupsOf(account *user.User, primary uint32) []uint32 {
	groups := []uint32{primary}
	ids, err := account.GroupIds()
	if err != nil {
		return groups
	}
	for _, id := range ids {
		gid, err := strconv.ParseUint(id, 10, 32)
		if err == nil && !slices.Contains(groups, uint32(gid)) {
			groups = append(groups, uint32(gid))
		}
	}
	return groups
}

// Credential is what makes a child run as the owner; nil when we are that user already.
func (o *Owner) Credential() *Credential {
	if int(o.UID) == os.Geteuid() {
		return nil
	}
	return &Credential{UID: o.UID, GID: o.GID, Groups: slices.Clone(o.Groups)}
}

// Environ is HOME, USER and LOGNAME of the owner, as far as known, plus our own PATH.
func (o *Owner) Environ() []string {
	env := []string{"PATH=" + os.Getenv("PATH")}
	if o.Home != "" {
		env = append(env, "HOME="+o.Home)
	}
	if o.Name != "" {
		env = append(env, "USER="+o.Name, "LOGNAME="+o.Name)
	}
	return env
}
