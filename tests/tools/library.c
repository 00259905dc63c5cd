/* A C program that uses the library: segments an image that it draws itself, and checks what every kind of mistake
 * gives. library MODEL */
#include <basin.h>
#include <math.h>
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

static void draw(uint16_t* image) {
  int x, y, k;
  for (y = 0; y < SIDE; ++y)
    for (x = 0; x < SIDE; ++x) {
      double v = 200;
      for (k = 0; k < 4; ++k) {
        const double dx = x - (32 + 64 * (k % 2)), dy = y - (32 + 64 * (k / 2));
        v += 3000 / (1 + exp((sqrt(dx * dx + dy * dy) - 12) / 1.5));
      }
      image[y * SIDE + x] = (uint16_t)v;
    }
}

int main(int argc, char** argv) {
  static uint16_t pixels[SIDE * SIDE];
  static int32_t labels[SIDE * SIDE], padded[SIDE * SIDE];
  static uint16_t wide[SIDE][SIDE + 3][2];
  static float field[2 * SIDE * SIDE];
  const basin_option cpu = {"device", "cpu"}, bad = {"scales", "2"}, out_of_range = {"scale", "0"};
  const basin_option two[] = {{"device", "cpu"}, {"threads", "1"}}, filter = {"min-size", "100000"};
  const basin_option dbscan[] = {{"eps", "1.5"}, {"min-samples", "2"}};
  const double points[] = {0, 0, 1, 0, 50, 50, 9, 9, 9, 10};
  int32_t clusters[5];
  double moved[10];
  int64_t count = 0;
  basin_model* model = NULL;
  basin_result* result = NULL;
  basin_table* table = NULL;
  basin_array image, strided, bent, truth, p, f;
  int x, y;
  if (argc != 2) return 2;

  check(basin_require(BASIN_API_VERSION) == BASIN_OK, "this version of the interface");
  check(strlen(basin_last_error()) == 0, "no error");
  check_error(basin_require(BASIN_API_VERSION + 1), BASIN_ERROR_VERSION, "interface");
  check(strlen(basin_version()) > 0 && strstr(basin_build(), basin_version()) != NULL, "versions");

  check_error(basin_load_model("missing.safetensors", &cpu, 1, &model), BASIN_ERROR_FILE, "missing.safetensors");
  check(model == NULL, "no model");
  check_error(basin_load_model(NULL, &cpu, 1, &model), BASIN_ERROR_ARGUMENT, "model");
  check_error(basin_load_model(argv[1], &cpu, 1, NULL), BASIN_ERROR_ARGUMENT, "loaded");
  check_error(basin_load_model(argv[1], &bad, 1, &model), BASIN_ERROR_OPTION, "scales: no such option");
  check(basin_load_model(argv[1], two, 2, &model) == BASIN_OK, "load");
  if (!model) return 1;
  check(basin_model_channels(model) == 1 && strstr(basin_model_info(model), "vf-h1") != NULL,
        "the model's description");

  draw(pixels);
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
  bent = image;
  bent.rank = 1;
  check_error(basin_segment(model, &bent, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "has 1 axes");
  bent = image;
  bent.shape[0] = 0;
  check_error(basin_segment(model, &bent, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "without elements");
  bent.shape[0] = INT64_MAX;
  check_error(basin_segment(model, &bent, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "too large");
  bent = image;
  bent.type = 99;
  check_error(basin_segment(model, &bent, NULL, 0, labels, NULL), BASIN_ERROR_ARGUMENT, "basin_type");
  bent = dense(pixels, BASIN_UINT16, 3, 5, SIDE / 4, SIDE / 4);
  check_error(basin_segment(model, &bent, NULL, 0, labels, NULL), BASIN_ERROR_FAILED, "5 channels");

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
  f = dense(field, BASIN_FLOAT32, 3, 2, SIDE, SIDE);
  p = dense(points, BASIN_FLOAT64, 2, 5, 2, 0);
  check_error(basin_integrate(&f, &p, &cpu, 1, moved), BASIN_ERROR_ARGUMENT, "float64");
  check(basin_cluster(&p, dbscan, 2, clusters, &count) == BASIN_OK, "cluster");
  check(count == 2 && clusters[0] == 0 && clusters[1] == 0 && clusters[2] == -1 && clusters[4] == 1, "its labels");
  check_error(basin_cluster(&p, dbscan, 1, clusters, &count), BASIN_ERROR_OPTION, "--min-samples");
  check_error(basin_run(0, NULL), BASIN_ERROR_FAILED, "subcommand");

  basin_free_model(model);
  basin_free_model(NULL);
  basin_free_result(NULL);
  basin_free_table(NULL);
  printf(failures ? "%d checks failed\n" : "all checks passed\n", failures);
  return failures != 0;
}
