// What runs on a CPU and knows tensors, without operators and autograd.

#include "../fake_quantize/fused.cpp"
#include "../fake_quantize/maximum.cpp"
#include "../fake_quantize/rows.cpp"
#include "../layout.cpp"
#include "../statistics.cpp"
