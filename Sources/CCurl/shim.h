#ifndef VMOPS_CCURL_SHIM_H
#define VMOPS_CCURL_SHIM_H

#include <curl/curl.h>

/* curl_easy_setopt, curl_easy_getinfo and curl_multi_setopt take variable arguments, which Swift does not import. One
   wrapper for each type of argument; the caller names an option of that type. */

static inline CURLcode vmops_curl_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode vmops_curl_set_offset(CURL *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode vmops_curl_set_text(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode vmops_curl_set_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode vmops_curl_set_list(CURL *easy, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(easy, option, value);
}

typedef size_t (*vmops_curl_data)(char *bytes, size_t size, size_t count, void *context);

static inline CURLcode vmops_curl_set_data(CURL *easy, CURLoption option, vmops_curl_data callback) {
    return curl_easy_setopt(easy, option, callback);
}

static inline CURLcode vmops_curl_set_seek(CURL *easy, int (*callback)(void *context, curl_off_t offset, int origin)) {
    return curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, callback);
}

static inline CURLcode vmops_curl_get_long(CURL *easy, CURLINFO info, long *value) {
    return curl_easy_getinfo(easy, info, value);
}

static inline CURLcode vmops_curl_get_text(CURL *easy, CURLINFO info, char **value) {
    return curl_easy_getinfo(easy, info, value);
}

static inline CURLcode vmops_curl_get_pointer(CURL *easy, CURLINFO info, void **value) {
    return curl_easy_getinfo(easy, info, value);
}

static inline CURLMcode vmops_curl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}

/* The result of a finished transfer is a member of a union. */
static inline CURLcode vmops_curl_result(const CURLMsg *message) {
    return message->data.result;
}

#endif
