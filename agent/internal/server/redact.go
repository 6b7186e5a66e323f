package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// What leaves the agent passes here, whoever made it: answers field by field, errors with their details. Events that come from the
// journal were redacted before they were recorded, and are not gone through again.

func (s *Server) redactUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	answer, err := handler(ctx, req)
	if m, ok := answer.(proto.Message); ok && err == nil {
		own := proto.Clone(m) // several callers may share one answer
		redactMessage(own.ProtoReflect(), s.redact)
		answer = own
	}
	return answer, redactStatus(err, s.redact)
}

func (s *Server) redactStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return redactStatus(handler(srv, stream), s.redact)
}

// redactStatus takes secrets out of an error that has its form on the wire already.
func redactStatus(err error, text func(string) string) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return status.Error(status.Code(err), text(err.Error()))
	}
	out := st.Proto()
	out.Message = text(out.GetMessage())
	for i, packed := range out.GetDetails() {
		detail, err := packed.UnmarshalNew()
		if err != nil {
			continue // nobody can read it
		}
		redactMessage(detail.ProtoReflect(), text)
		if again, err := anypb.New(detail); err == nil {
			out.Details[i] = again
		}
	}
	return status.FromProto(out).Err()
}

// redactMessage takes secrets out of every text of a message.
func redactMessage(m protoreflect.Message, text func(string) string) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			redactMap(f, v.Map(), text)
		case f.IsList():
			for i := range v.List().Len() {
				v.List().Set(i, redactValue(f, v.List().Get(i), text))
			}
		default:
			m.Set(f, redactValue(f, v, text))
		}
		return true
	})
}

func redactMap(f protoreflect.FieldDescriptor, m protoreflect.Map, text func(string) string) {
	m.Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
		m.Set(key, redactValue(f.MapValue(), v, text))
		return true
	})
}

func redactValue(f protoreflect.FieldDescriptor, v protoreflect.Value, text func(string) string) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text(v.String()))
	case protoreflect.MessageKind, protoreflect.GroupKind:
		redactMessage(v.Message(), text)
	default:
	}
	return v
}
