// Files with autograd functions. torch's header for these and the first use of its templates take seven
// seconds of a processor in every unit, so they are compiled as one.

#include "../fake_quantize/public.cpp"
#include "../recompute.cpp"
#include "../ste.cpp"
