/* The C interface of Basin: instance segmentation of microscopy images from any language that can call C.
 *
 * Every function that can fail returns a basin_status: BASIN_OK, or what kind of error it was. basin_last_error() then
 * returns one sentence about it. No function ends the process or throws an exception.
 *
 * Options are pairs of texts with the names and meanings that the command line has: {"scale", "0.5"} is --scale 0.5 of
 * `basin segment`, and a value of NULL is an option that is given without one, such as {"tta", NULL}. Option arrays may
 * be NULL if their count is 0. Functions that compute take "threads" (0: all), and those without a model also "device"
 * (auto, cpu, cuda, cuda:INDEX; auto by default).
 *
 * Threads: several threads may call any function at once, even with the same model, and the results are those of one
 * thread. On the CPU calls run at the same time, each with its own "threads". On a GPU they take turns, and a process
 * may use only one GPU, which becomes the calling thread's current one. A handle must not be freed while another thread
 * uses it.
 *
 * Texts that are returned are UTF-8, and belong to the library or to the handle that they come from. They are never
 * NULL unless stated below. Functions that only read from a handle accept NULL, and return 0, NULL or an empty text
 * for it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface, which is also that in the library's file name, libbasin.so.1. It changes when a
 * program that was compiled for an earlier one would no longer work: within one version functions, options and status
 * codes may be added, but the structs and the meaning of what is there stay. */
#define BASIN_API_VERSION 1

#if defined(_WIN32)
#define BASIN_API
#else
#define BASIN_API __attribute__((visibility("default")))
#endif

typedef enum basin_status {
  BASIN_OK = 0,
  BASIN_ERROR_ARGUMENT = 1, /* a null pointer, or an array of the wrong shape, element type or values */
  BASIN_ERROR_OPTION = 2,   /* an unknown option, or a value that it does not take */
  BASIN_ERROR_FILE = 3,     /* a model that is missing, damaged or unknown */
  BASIN_ERROR_DEVICE = 4,   /* there is no such device */
  BASIN_ERROR_MEMORY = 5,   /* not enough memory */
  BASIN_ERROR_VERSION = 6,  /* the library has another version of the interface */
  BASIN_ERROR_FAILED = 7    /* anything else, such as a command that fails */
} basin_status;

/* Element types of arrays, in this machine's byte order. */
typedef enum basin_type {
  BASIN_BOOL = 0, /* one byte; everything but 0 is true */
  BASIN_UINT8 = 1,
  BASIN_INT8 = 2,
  BASIN_UINT16 = 3,
  BASIN_INT16 = 4,
  BASIN_UINT32 = 5,
  BASIN_INT32 = 6,
  BASIN_UINT64 = 7,
  BASIN_INT64 = 8,
  BASIN_FLOAT32 = 9,
  BASIN_FLOAT64 = 10
} basin_type;

/* An array of the caller, which is only read. */
typedef struct basin_array {
  const void* data;   /* its first element */
  int32_t type;       /* a basin_type */
  int32_t rank;       /* 1 to 3: how many members of shape and strides count */
  int64_t shape[3];   /* the slowest axis first */
  int64_t strides[3]; /* bytes from one element to the next along each axis; all 0: the array is dense */
} basin_array;

typedef struct basin_option {
  const char* name;  /* "scale": without dashes */
  const char* value; /* "0.5"; NULL: none */
} basin_option;

typedef struct basin_model basin_model;   /* a trained model, on a device */
typedef struct basin_result basin_result; /* what was found in an image */
typedef struct basin_table basin_table;   /* rows of numbers under named columns */

/* -- Versions and errors -- */

/* BASIN_OK if the library has this version of the interface. Call it first: basin_require(BASIN_API_VERSION). */
BASIN_API basin_status basin_require(int version);
/* The version of Basin: "0.1.0". */
BASIN_API const char* basin_version(void);
/* The version, how the library was built, and its libraries, one line each. */
BASIN_API const char* basin_build(void);
/* One sentence about the last error in the calling thread; empty if its last call succeeded. Valid until its next
 * call. */
BASIN_API const char* basin_last_error(void);

/* -- Models -- */

/* The names of the shipped models, one a line. Valid until the calling thread asks again. */
BASIN_API const char* basin_shipped_models(void);
/* Loads a model: a .safetensors file, or the name of a shipped model. Options: device, precision, threads. */
BASIN_API basin_status basin_load_model(const char* model, const basin_option* options, size_t option_count,
                                        basin_model** loaded);
BASIN_API void basin_free_model(basin_model*); /* NULL is allowed */
/* The description from the model's file, as JSON. */
BASIN_API const char* basin_model_info(const basin_model*);
/* How many channels images are converted to. */
BASIN_API int basin_model_channels(const basin_model*);
/* The device that it runs on: "cpu, AVX-512, 8 threads". */
BASIN_API const char* basin_model_device(const basin_model*);

/* Segments an image [C, H, W] or [H, W] of integers (not negative, up to 32 bits) or floats. Writes the number of its
 * object, from 1, to each of the H * W labels, row by row; 0 is background. `result` may be NULL.
 * Options: those of `basin segment` that decide how an image becomes labels (scale, diameter, norm, tta, tiling, tile,
 * overlap, min-size, max-size, exclude-edges, fill-holes, set, and the decoding settings of the model's method), and
 * threads. */
BASIN_API basin_status basin_segment(const basin_model*, const basin_array* image, const basin_option* options,
                                     size_t option_count, int32_t* labels, basin_result** result);
/* The number of objects. */
BASIN_API int64_t basin_result_objects(const basin_result*);
/* The scores of objects 1, 2, ...; NULL if the method gives none. */
BASIN_API const float* basin_result_scores(const basin_result*);
/* The scale at which the network saw the image. */
BASIN_API double basin_result_scale(const basin_result*);
/* What may surprise the user, one sentence a line; empty if there is nothing. */
BASIN_API const char* basin_result_remarks(const basin_result*);
BASIN_API void basin_free_result(basin_result*); /* NULL is allowed */

/* -- Label images -- */

/* Label images are [H, W] of integers: 0 is background, and every object has its own number. */

/* Compares `images` pairs of label images. The rows are the mean over the images, the pool of all objects, and each
 * image; the columns are named as in the JSON of `basin evaluate`. An undefined value is NaN. Options: dialect,
 * threads. */
BASIN_API basin_status basin_evaluate(const basin_array* truth, const basin_array* prediction, size_t images,
                                      const basin_option* options, size_t option_count, basin_table** table);
/* Measures the objects: the table that `basin segment --save csv` writes, one row each. `image` may be NULL; otherwise
 * it is as for basin_segment. Options: pixel-size (um), threads. */
BASIN_API basin_status basin_measure(const basin_array* labels, const basin_array* image, const basin_option* options,
                                     size_t option_count, basin_table** table);
/* The vector field of a label image, a network's training target: float [2, H, W], x and y. Options: kind, truncate,
 * kernel, mode, device, threads. */
BASIN_API basin_status basin_field(const basin_array* labels, const basin_option* options, size_t option_count,
                                   float* field);

BASIN_API int64_t basin_table_rows(const basin_table*);
BASIN_API int64_t basin_table_columns(const basin_table*);
BASIN_API const char* basin_table_name(const basin_table*, int64_t column); /* NULL: there is no such column */
BASIN_API const double* basin_table_values(const basin_table*);             /* [rows][columns] */
BASIN_API void basin_free_table(basin_table*);                              /* NULL is allowed */

/* -- Points -- */

/* Moves points [N, 2], x and y, through a field [2, H, W]. Both are of one element type, float32 or float64, and so are
 * the moved points [N, 2], dense; they may replace dense points. Options: solver, step, steps, tolerance,
 * interpolation, suppress, device, threads. */
BASIN_API basin_status basin_integrate(const basin_array* field, const basin_array* points, const basin_option* options,
                                       size_t option_count, void* moved);
/* Clusters points [N, 2] of float32 or float64 by DBSCAN: labels[N] are from 0, noise is -1. `clusters`, their number,
 * may be NULL. Options: eps, min-samples (both required), snap-noise, device, threads. */
BASIN_API basin_status basin_cluster(const basin_array* points, const basin_option* options, size_t option_count,
                                     int32_t* labels, int64_t* clusters);

/* -- Commands -- */

/* Runs a command of the command line, such as {"train", "--data", "FOLDER", "--out", "RUN"}. It prints what the command
 * prints, and returns when the command has finished. One command runs at a time; where there is a GPU, other calls that
 * use it wait for the command. */
BASIN_API basin_status basin_run(int argument_count, const char* const* arguments);

#ifdef __cplusplus
}
#endif
