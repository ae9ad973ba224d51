[#ftl]
[#-- What the engine of 2017 gives to a fragment, as far as this one uses it. --]

[#assign environmentCount = 0, policyCount = 0, statementCount = 0]

[#macro environmentVariable name value format="docker" mode=""]
    [#if mode == "environment"]
        [#if environmentCount > 0],[/#if]
        [#if format == "docker"]{ "Name" : "${name}", "Value" : "${value}" }[#else]"${name}" : "${value}"[/#if]
    [/#if]
    [#assign environmentCount += 1]
[/#macro]

[#macro standardEnvironmentVariables format="docker" mode=""]
    [@environmentVariable "AWS_REGION" "eu-west-1" format mode /]
    [@environmentVariable "APPDATA_BUCKET" "data" format mode /]
    [@environmentVariable "APPDATA_PREFIX" "appdata/www" format mode /]
    [@environmentVariable "BUILD_REFERENCE" "abc123" format mode /]
    [@environmentVariable "APP_RUN_MODE" containerRunMode format mode /]
[/#macro]

[#macro containerBasicAttributes name image="" essential=true]
    "Name" : "${name}", "Image" : "registry.example.org/shop/www-abc123", "Essential" : ${essential?c},
[/#macro]

[#macro policyHeader name id="" roles=""]
    [#assign policyCount += 1, statementCount = 0]
    [#if containerListMode == "policy"]"${id}" : { "Name" : "${name}", "Roles" : "${roles}", "Statement" : [[/#if]
[/#macro]
[#macro policyFooter][#if containerListMode == "policy"]]}[/#if][/#macro]
[#macro policyStatement action resource]
    [#if containerListMode == "policy"]
        [#if statementCount > 0],[/#if]{ "Action" : "${action}", "Resource" : "${resource}" }
    [/#if]
    [#assign statementCount += 1]
[/#macro]
[#macro cmkDecryptStatement id][@policyStatement "kms:Decrypt" getKey(id) /][/#macro]
[#macro s3AllStatement bucket prefix][@policyStatement "s3:*" bucket + "/" + prefix /][/#macro]

[#function getTier id][#return { "Id" : id }][/#function]
[#function getComponent tier id type][#return { "Id" : id, "Type" : type }][/#function]
[#function formatComponentShortName tier component extension=""]
    [#return tier.Id + "-" + component.Id + extension?has_content?then("-" + extension, "")]
[/#function]
[#function formatRDSId tier component][#return "rds"][/#function]
[#function formatRDSDnsId id][#return id + "Xdns"][/#function]
[#function formatRDSPortId id][#return id + "Xport"][/#function]
[#function formatRDSDatabaseNameId id][#return id + "Xname"][/#function]
[#function formatCacheId tier component][#return "cache"][/#function]
[#function formatCacheDnsId id][#return id + "Xdns"][/#function]
[#function formatCachePortId id][#return id + "Xport"][/#function]
[#function formatElasticSearchId tier component][#return "es"][/#function]
[#function formatElasticSearchDnsId id][#return id + "Xdns"][/#function]
[#function formatSegmentCMKArnId][#return "cmkXarn"][/#function]
[#function getAppDataFilePrefix][#return "appdata/www"][/#function]
[#function getKey id][#return (keys[id])!""][/#function]

[#-- hamlet's, for the other fragment --]
[#macro Settings settings][#list settings as name, value]"${name}" : "${value}",[/#list][/#macro]

[#assign
    tier = { "Id" : "web" }, component = { "Id" : "site" }, dataBucket = "data",
    containerListPolicyName = "www", containerListPolicyId = "policyXwww", containerListRole = "roleXwww"]
