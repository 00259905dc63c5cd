/* A C program that uses the library: segments images that it draws itself, in one thread and in several, and checks
 * what every kind of mistake gives. library MODEL */
#include <basin.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 128 };

static int failures = 0;

static void check(int good, const char* what) {
  if (!good) {
    printf("FAILED: %s (%s)\n", what, basin_last_error());
    ++failures;
  }
}

static void check_error(basin_status got, basin_status want, const char* words) {
  if (got != want || !strstr(basin_last_error(), words) || strchr(basin_last_error(), '\n')) {
    printf("FAILED: status %d, %s; expected %d and '%s'\n", (int)got, basin_last_error(), (int)want, words);
    ++failures;
  }
}

static basin_array dense(const void* data, basin_type type, int rank, int64_t a, int64_t b, int64_t c) {
  basin_array array;
  memset(&array, 0, sizeof array);
  array.data = data;
  array.type = type;
  array.rank = rank;
  array.shape[0] = a;
  array.shape[1] = b;
  array.shape[2] = c;
  return array;
}

/* Draws four disks, the first one around (cx, cy). */
static void draw(uint16_t* image, int cx, int cy) {
  int x, y, k;
  for (y = 0; y < SIDE; ++y)
    for (x = 0; x < SIDE; ++x) {
      double v = 200;
      for (k = 0; k < 4; ++k) {
        const double dx = x - (cx + 64 * (k % 2)), dy = y - (cy + 64 * (k / 2));
        v += 3000 / (1 + exp((sqrt(dx * dx + dy * dy) - 12) / 1.5));
      }
      image[y * SIDE + x] = (uint16_t)v;
    }
}

/* What a thread segments again and again, and the labels that it must find. */
typedef struct job {
  const basin_model* model;
  basin_array image;
  int32_t want[SIDE * SIDE], labels[SIDE * SIDE];
  int wrong;
} job;

static basin_status segment_job(job* j, int32_t* labels) {
  const basin_option options[] = {{"threads", "1"}, {"scale", "1"}};
  return basin_segment(j->model, &j->image, options, 2, labels, NULL);
}

static void* repeat(void* given) {
  job* j = (job*)given;
  int i;
  for (i = 0; i < 5; ++i)
    if (segment_job(j, j->labels) != BASIN_OK || memcmp(j->labels, j->want, sizeof j->want) != 0) ++j->wrong;
  return NULL;
}

/* Two threads with these models find what one thread finds. */
static void check_threads(const basin_model* first, const basin_model* second, const char* what) {
  static uint16_t pixels[2][SIDE * SIDE];
  static job jobs[2];
  pthread_t threads[2];
  int k;
  for (k = 0; k < 2; ++k) {
    draw(pixels[k], 32 - 9 * k, 32 + 7 * k);
    jobs[k].model = k ? second : first;
    jobs[k].image = dense(pixels[k], BASIN_UINT16, 2, SIDE, SIDE, 0);
    jobs[k].wrong = 0;
    check(segment_job(&jobs[k], jobs[k].want) == BASIN_OK, "segment in one thread");
  }
  check(memcmp(jobs[0].want, jobs[1].want, sizeof jobs[0].want) != 0, "the images differ");
  for (k = 0; k < 2; ++k)
    if (pthread_create(&threads[k], NULL, repeat, &jobs[k]) != 0) exit(2);
  for (k = 0; k < 2; ++k) {
    pthread_join(threads[k], NULL);
    check(jobs[k].wrong == 0, what);
  }
}

/* Arrays that no function takes; `model` segments. */
static void check_arrays(const basin_model* model) {
  static float values[2 * SIDE * SIDE];
  static int32_t labels[SIDE * SIDE];
  const basin_option dbscan[] = {{"eps", "1.5"}, {"min-samples", "2"}};
  double points[6] = {0, 0, 1, 0, 1, 1}, moved[6];
  uint8_t flags[4] = {0, 2, 255, 0};
  basin_array image = dense(values, BASIN_FLOAT32, 2, SIDE, SIDE, 0), bad = image, other;
  basin_table* table = NULL;
  int rank;

  bad.data = NULL;
  check_error(basin_segment(model, &bad, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "data is a null pointer");
  for (rank = -1; rank <= 4; ++rank) {
    bad = image;
    bad.rank = rank;
    bad.shape[2] = 4;
    if (rank != 2 && rank != 3)
      check_error(basin_segment(model, &bad, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "axes");
  }
  bad = image;
  bad.shape[0] = 0;
  check_error(basin_segment(model, &bad, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "without elements");
  bad.shape[0] = -SIDE;
  check_error(basin_segment(model, &bad, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "without elements");
  bad.shape[0] = INT64_MAX;
  check_error(basin_segment(model, &bad, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "too large");
  bad.shape[0] = bad.shape[1] = 1 << 16;
  check_error(basin_segment(model, &bad, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "too large");
  bad = image;
  bad.type = 99;
  check_error(basin_segment(model, &bad, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "basin_type");
  bad.type = -1;
  check_error(basin_segment(model, &bad, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "basin_type");
  bad = dense(values, BASIN_FLOAT32, 3, 5, SIDE / 4, SIDE / 4);
  check_error(basin_segment(model, &bad, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "5 channels");
  values[3] = (float)NAN;
  check_error(basin_segment(model, &image, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "image: has the value");

  check_error(basin_field(&image, NULL, 0, values), BASIN_ERROR_ARGUMENT, "labels must be integers");
  labels[5] = -7;
  other = dense(labels, BASIN_INT32, 2, SIDE, SIDE, 0);
  check_error(basin_measure(&other, NULL, NULL, 0, &table), BASIN_ERROR_ARGUMENT, "labels: ");
  labels[5] = 7;
  bad = dense(labels, BASIN_INT32, 2, SIDE, SIDE - 1, 0);
  check_error(basin_evaluate(&other, &bad, 1, NULL, 0, &table), BASIN_ERROR_ARGUMENT, "pixels, but its truth");
  check_error(basin_measure(&other, &bad, NULL, 0, &table), BASIN_ERROR_ARGUMENT, "pixels, but its labels");
  check(table == NULL, "no table");
  bad = dense(flags, BASIN_BOOL, 2, 2, 2, 0);
  check(basin_measure(&bad, NULL, NULL, 0, &table) == BASIN_OK && basin_table_rows(table) == 1, "bytes that are true");
  basin_free_table(table);

  bad = dense(values, BASIN_FLOAT32, 3, 2, SIDE, SIDE);
  other = dense(points, BASIN_FLOAT64, 2, 3, 2, 0);
  check_error(basin_integrate(&bad, &other, NULL, 0, moved), BASIN_ERROR_ARGUMENT, "field: element 3 is not finite");
  values[3] = 0;
  check_error(basin_integrate(&bad, &other, NULL, 0, moved), BASIN_ERROR_ARGUMENT, "float64");
  points[4] = NAN;
  bad = dense(values, BASIN_FLOAT64, 3, 2, SIDE / 2, SIDE);
  check_error(basin_integrate(&bad, &other, NULL, 0, moved), BASIN_ERROR_ARGUMENT, "points: element 4 is not finite");
  check_error(basin_cluster(&other, dbscan, 2, labels, NULL), BASIN_ERROR_ARGUMENT, "point 2 has a coordinate");
  other.shape[1] = 3;
  other.shape[0] = 2;
  check_error(basin_cluster(&other, dbscan, 2, labels, NULL), BASIN_ERROR_ARGUMENT, "[N, 2]");
  other.shape[1] = 0;
  check_error(basin_cluster(&other, dbscan, 2, labels, NULL), BASIN_ERROR_ARGUMENT, "[N, 2]");
}

int main(int argc, char** argv) {
  static uint16_t pixels[SIDE * SIDE];
  static int32_t labels[SIDE * SIDE], padded[SIDE * SIDE];
  static uint16_t wide[SIDE][SIDE + 3][2];
  static float field[2 * SIDE * SIDE];
  const basin_option cpu = {"device", "cpu"}, bad = {"scales", "2"}, out_of_range = {"scale", "0"};
  const basin_option nameless = {NULL, "2"}, negative = {"threads", "-1"}, unknown = {"device", "tpu"};
  const basin_option gpu = {"device", "cuda"};
  const basin_option two[] = {{"device", "cpu"}, {"threads", "1"}}, filter = {"min-size", "100000"};
  const basin_option dbscan[] = {{"eps", "1.5"}, {"min-samples", "2"}};
  const double points[] = {0, 0, 1, 0, 50, 50, 9, 9, 9, 10};
  int32_t clusters[5];
  int64_t count = 0;
  basin_model *model = NULL, *second = NULL;
  basin_result* result = NULL;
  basin_table* table = NULL;
  basin_array image, strided, truth, p;
  int x, y;
  if (argc != 2) return 2;

  check(basin_require(BASIN_API_VERSION) == BASIN_OK, "this version of the interface");
  check(strlen(basin_last_error()) == 0, "no error");
  check_error(basin_require(BASIN_API_VERSION + 1), BASIN_ERROR_VERSION, "interface");
  check(strlen(basin_version()) > 0 && strstr(basin_build(), basin_version()) != NULL, "versions");

  check_error(basin_load_model("missing.safetensors", &cpu, 1, &model), BASIN_ERROR_FILE, "missing.safetensors");
  check(model == NULL, "no model");
  check_error(basin_load_model(argv[0], &cpu, 1, &model), BASIN_ERROR_FILE, "");
  check_error(basin_load_model("", &cpu, 1, &model), BASIN_ERROR_FILE, "");
  check_error(basin_load_model(NULL, &cpu, 1, &model), BASIN_ERROR_ARGUMENT, "model");
  check_error(basin_load_model(argv[1], &cpu, 1, NULL), BASIN_ERROR_ARGUMENT, "loaded");
  check_error(basin_load_model(argv[1], &bad, 1, &model), BASIN_ERROR_OPTION, "scales: no such option");
  check_error(basin_load_model(argv[1], &nameless, 1, &model), BASIN_ERROR_ARGUMENT, "name of an option");
  check_error(basin_load_model(argv[1], &negative, 1, &model), BASIN_ERROR_OPTION, "threads");
  check_error(basin_load_model(argv[1], &unknown, 1, &model), BASIN_ERROR_DEVICE, "tpu");
  check_error(basin_load_model(argv[1], &gpu, 1, &model), BASIN_ERROR_DEVICE, "no NVIDIA GPU");
  check(basin_load_model(argv[1], two, 2, &model) == BASIN_OK, "load");
  if (!model) return 1;
  check(basin_model_channels(model) == 1 && strstr(basin_model_info(model), "vf-h1") != NULL,
        "the model's description");

  draw(pixels, 32, 32);
  image = dense(pixels, BASIN_UINT16, 2, SIDE, SIDE, 0);
  check(basin_segment(model, &image, NULL, 0, labels, &result) == BASIN_OK, "segment");
  check(basin_result_objects(result) == 4, "four objects");
  check(basin_result_scores(result) == NULL && basin_result_scale(result) > 0, "no scores, a scale");
  check(labels[0] == 0 && labels[32 * SIDE + 32] > 0, "labels");
  basin_free_result(result);

  /* The same image with its channel and further columns in between: the same labels. */
  for (y = 0; y < SIDE; ++y)
    for (x = 0; x < SIDE; ++x)
      wide[y][x][1] = pixels[y * SIDE + x];
  strided = dense(&wide[0][0][1], BASIN_UINT16, 3, 1, SIDE, SIDE);
  strided.strides[0] = 1;
  strided.strides[1] = sizeof wide[0];
  strided.strides[2] = sizeof wide[0][0];
  check(basin_segment(model, &strided, NULL, 0, padded, NULL) == BASIN_OK, "segment with strides");
  check(memcmp(labels, padded, sizeof labels) == 0, "the same labels");

  check(basin_segment(model, &image, &filter, 1, padded, &result) == BASIN_OK, "segment with a filter");
  check(basin_result_objects(result) == 0, "all objects dropped");
  basin_free_result(result);

  check_error(basin_segment(NULL, &image, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "model is a null pointer");
  check_error(basin_segment(model, NULL, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "image is a null pointer");
  check_error(basin_segment(model, &image, NULL, 0, NULL, NULL), BASIN_ERROR_ARGUMENT, "labels is a null pointer");
  check_error(basin_segment(model, &image, NULL, 1, labels, NULL), BASIN_ERROR_ARGUMENT, "options is a null pointer");
  check_error(basin_segment(model, &image, &bad, 1, labels, NULL), BASIN_ERROR_OPTION, "scales: no such option");
  check_error(basin_segment(model, &image, &out_of_range, 1, labels, NULL), BASIN_ERROR_OPTION, "--scale 0");

  truth = dense(labels, BASIN_INT32, 2, SIDE, SIDE, 0);
  check(basin_evaluate(&truth, &truth, 1, NULL, 0, &table) == BASIN_OK, "evaluate");
  check(basin_table_rows(table) == 3 && strcmp(basin_table_name(table, 0), "true_objects") == 0, "table of scores");
  check(basin_table_values(table)[0] == 4 && basin_table_name(table, basin_table_columns(table)) == NULL, "its values");
  basin_free_table(table);
  check_error(basin_evaluate(&image, &truth, 0, NULL, 0, &table), BASIN_ERROR_ARGUMENT, "nothing to compare");
  check(basin_measure(&truth, &image, NULL, 0, &table) == BASIN_OK, "measure");
  check(basin_table_rows(table) == 4, "a row for each object");
  basin_free_table(table);

  check(basin_field(&truth, &cpu, 1, field) == BASIN_OK, "field");
  p = dense(points, BASIN_FLOAT64, 2, 5, 2, 0);
  check(basin_cluster(&p, dbscan, 2, clusters, &count) == BASIN_OK, "cluster");
  check(count == 2 && clusters[0] == 0 && clusters[1] == 0 && clusters[2] == -1 && clusters[4] == 1, "its labels");
  check_error(basin_cluster(&p, dbscan, 1, clusters, &count), BASIN_ERROR_OPTION, "--min-samples");
  check_error(basin_run(0, NULL), BASIN_ERROR_FAILED, "subcommand");

  check_arrays(model);
  check(basin_load_model(argv[1], two, 2, &second) == BASIN_OK, "load again");
  check_threads(model, model, "two threads with one model");
  check_threads(model, second, "two threads with a model each");
  check(basin_model_channels(NULL) == 0 && strlen(basin_model_info(NULL)) == 0 &&
            strlen(basin_model_device(NULL)) == 0 && basin_result_objects(NULL) == 0 &&
            basin_result_scores(NULL) == NULL && basin_table_rows(NULL) == 0 && basin_table_name(NULL, 0) == NULL &&
            basin_table_values(NULL) == NULL && strlen(basin_result_remarks(NULL)) == 0,
        "handles of NULL");

  basin_free_model(model);
  basin_free_model(second);
  basin_free_model(NULL);
  basin_free_result(NULL);
  basin_free_table(NULL);
  printf(failures ? "%d checks failed\n" : "all checks passed\n", failures);
  return failures != 0;
}
