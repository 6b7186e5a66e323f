package console

import (
	"io"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// WritePaused answers a pause: until when it holds, and which one it took the place of, nil for none.
func WritePaused(w io.Writer, before, now *landfallv1.GitOpsPause, o Style) error {
	p := newPage(o)
	p.printf("paused until %s", clock(timeOf(now.GetExpireTime()), p.Now))
	p.printf(", %s\n", Relative(timeOf(now.GetExpireTime()), p.Now))
	if before != nil {
		p.printf("%s\n", p.paint(yellow, withReason("it takes the place of the pause by "+clean(before.GetOwner()), before.GetReason())))
	}
	return p.writeTo(w)
}
