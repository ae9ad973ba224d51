[#case "{containerid}"]
[#--
    The component in a solution of hamlet, the engine that came after: there
    settings and links become the environment by themselves, and a task's role
    may decrypt them unless Permissions.Decrypt is switched off. A value that is
    secret reaches the container as kms+base64: (or base64:) and its ciphertext.

    Copy to the extensions or fragments of the product's configuration and
    replace {containerid}, in the name and in here, by the id of the container.
--]
    [@Settings
        {
            "ENTRYPOINT_DECRYPT_FAILURE" : "exit",
            "ENTRYPOINT_GRACE" : "25s"
        }
    /]
    [#break]
