package foretell

import (
	"fmt"
	"strings"
)

// Clash is what cannot run as it stands.
type Clash struct {
	File    string
	Line    int // from 1
	Message string
}

// Clashes are the services that take each other's container name, or live in the namespaces of one that no file has.
func (ps Projects) Clashes() []Clash {
	var clashes []Clash
	type claim struct{ by, file string }
	claims := map[string]claim{}
	for _, p := range ps.list {
		for _, s := range p.services {
			who := p.name + "/" + s.Name
			if name := s.Container; name != "" && !strings.Contains(name, "$") {
				if had, taken := claims[name]; taken && had.by != who {
					clashes = append(clashes, Clash{s.file, s.Line, fmt.Sprintf("%s wants the container_name %q, which %s in %s has", s.Name, name, strings.TrimPrefix(had.by, "/"), had.file)})
				} else {
					claims[name] = claim{who, s.file}
				}
			}
			for _, owner := range s.Shares {
				if p.whole && !strings.Contains(owner, "$") && !p.has(owner) {
					clashes = append(clashes, Clash{s.file, s.Line, fmt.Sprintf("%s lives in the namespaces of %s, which no compose file of its project has", s.Name, owner)})
				}
			}
		}
	}
	return clashes
}
