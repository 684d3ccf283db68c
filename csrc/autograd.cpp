// The files with autograd functions, compiled as one: torch's header for these, and the first use of its
// templates, take seven seconds of a processor in every unit.

#include "fake_quantize/public.cpp"
#include "recompute.cpp"
#include "ste.cpp"
