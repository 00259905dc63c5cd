#pragma once
#include "data/dataset/dataset.h"

// What the files that pair images with labels share.

namespace basin {

/// Whether a path is not a folder. Also for a Zarr store, and for a broken link, which is reported when it is read.
bool is_file(const std::filesystem::path&);
/// Whether a file holds labels, by its name *_masks.*.
bool is_masks(const std::filesystem::path&);
/// Whether a file is an image in a supported format, and by its name neither labels nor a result.
bool is_picture(const std::filesystem::path&);

/// The entries of a folder, sorted by name, without hidden ones: macOS writes a file ._NAME beside NAME on foreign
/// disks.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder);

/// The label images of one folder, with or without images beside them.
std::map<std::string, Pair> labels_of_folder(const std::filesystem::path&);

/// Adds notes on images in unsupported formats, unless a supported one has the same stem, and unless
/// `searches_subfolders` on folders of images that are not searched. `notes` may be null.
void note_left_out(const std::filesystem::path& folder, std::vector<std::string>* notes,
                   bool searches_subfolders = false);

using PairingFaults = std::vector<PairingFault>;

/// The pairs of a CSV list, sorted by stem: lines image,mask under an optional heading, with paths relative to the
/// list. A line is a fault if one of its files does not exist, or if an earlier line has an image of the same stem.
std::vector<Pair> pair_list(const std::filesystem::path& list, PairingFaults&);

}  // namespace basin
