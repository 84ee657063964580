/* SPDX-License-Identifier: MIT */
/* An addon of node for a file that is read late (stalled_file.c): sleep(ms). Its interface
 * (Node-API) is stable; what is used of it is declared here, for its headers are seldom installed.
 */
#include <stddef.h>
#include <unistd.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);

int napi_get_cb_info(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv,
		     napi_value *ret_this, void **ret_data);
int napi_get_value_double(napi_env env, napi_value value, double *ret);
int napi_create_function(napi_env env, const char *name, size_t length, napi_callback callback,
			 void *data, napi_value *ret);
int napi_set_named_property(napi_env env, napi_value object, const char *name, napi_value value);

__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env,
									  napi_value exports);

static napi_value late_addon_sleep(napi_env env, napi_callback_info info)
{
	size_t argc = 1;
	napi_value ms;
	double value;

	if (!napi_get_cb_info(env, info, &argc, &ms, NULL, NULL) &&
	    !napi_get_value_double(env, ms, &value) && value > 0)
		usleep((useconds_t)(value * 1000));
	return NULL;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
	napi_value function;

	if (!napi_create_function(env, "sleep", 5, late_addon_sleep, NULL, &function))
		napi_set_named_property(env, exports, "sleep", function);
	return exports;
}
