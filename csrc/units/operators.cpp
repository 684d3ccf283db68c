// Registration, and the quantizers composed of ATen's operators: both need most of torch's headers.

#include "../fake_quantize/composed.cpp"
#include "../registration.cpp"
