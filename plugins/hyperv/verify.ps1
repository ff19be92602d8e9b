# Checks on this Hyper-V host what could not be tried where the plugin was written: see README.md.
# The arguments are those of verify.py, for example:  .\verify.ps1 --directory D:\VMs --destination hyperv2

$ErrorActionPreference = 'Stop'

$script = Join-Path $PSScriptRoot 'verify.py'
$python = $null
foreach ($name in @('python.exe', 'py.exe', 'python3.exe')) {
    $python = Get-Command -Name $name -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($null -ne $python) { break }
}
if ($null -eq $python) {
    Write-Output 'Python 3.9 or later is not on the path. It is all that the plugin needs besides Hyper-V.'
    exit 2
}
if ($null -eq (Get-Module -ListAvailable -Name Hyper-V)) {
    Write-Output 'The PowerShell module Hyper-V is not installed: Install-WindowsFeature Hyper-V-PowerShell'
    exit 2
}
$env:PYTHONIOENCODING = 'utf-8'
$report = Join-Path ([System.IO.Path]::GetTempPath()) 'vmops-hyperv-verify.json'
& $python.Source $script --json $report @args
$status = $LASTEXITCODE
Write-Output ('The report is in ' + $report)
exit $status
