// What tables with open addressing say of an entry, and how far from its place they look for one.
#pragma once

#include <cstddef>

namespace stonechat {

// The vocabularies of today's models need some tens of steps. In one that was made so that many entries want
// the same place, each step more would be taken millions of times.
inline constexpr size_t kMostProbes = 1 << 10;

enum class Insertion {
  kNew,
  kKnown,    // it's there already
  kCrowded,  // kMostProbes others lie where it belongs
};

}  // namespace stonechat
